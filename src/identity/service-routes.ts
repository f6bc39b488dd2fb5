// /api/v1/services: register, list, change, remove; new credentials beside the old ones. What they declare and publish
// is the catalog's.
import Type from 'typebox'
import { record } from '../audit/record.ts'
import { newId } from '../db/ids.ts'
import type { Db, Trx } from '../db/tables.ts'
import { actorOf } from '../guard/principal.ts'
import type { Write } from '../guard/write.ts'
import { Problem } from '../http/problem.ts'
import { ref } from '../http/ref.ts'
import type { App } from '../http/server.ts'
import { hashClientSecret, newClientSecret } from './credentials.ts'
import {
  addCredential,
  addService,
  type CredentialRow,
  changeService,
  credentials,
  lockService,
  removeCredential,
  removeService,
  type ServiceRow,
  serviceById,
  services,
} from './queries.ts'
import {
  CredentialBody,
  CredentialId,
  CredentialSchema,
  RegisterBody,
  RegisteredSchema,
  ServiceChanges,
  ServiceId,
  ServiceSchema,
  type ServiceView,
} from './schemas.ts'
import { known, refuseOwn } from './spokesman.ts'

export type ServiceDependencies = {
  readonly db: Db
  readonly write: Write
  readonly now: () => number
  /** Holds the catalog still. @throws Problem when two services would take the same requests then */
  readonly refuseBaseUrl: (trx: Trx, serviceId: string, baseUrl: string | null) => Promise<void>
}

const tags = ['Services']
const admin = { access: 'token', scopes: ['services:admin'] } as const
const mostCredentials = 2

export function serviceRoutes(app: App, dependencies: ServiceDependencies): void {
  const { db, write, now: clock, refuseBaseUrl } = dependencies
  for (const schema of [ServiceSchema, RegisteredSchema, CredentialSchema]) app.addSchema(schema)
  const now = () => new Date(clock())

  app.route({
    method: 'POST',
    url: '/api/v1/services',
    config: {
      policy: admin,
      catalog: { effects: { readOnly: false }, errors: ['validation-failed', 'unknown-field', 'conflict'] },
    },
    schema: {
      operationId: 'registerService',
      summary: 'Register a product service',
      description:
        'Its client id and secret let it introspect tokens. A generated secret is shown in this one answer.',
      tags,
      body: RegisterBody,
      response: { 200: ref(RegisteredSchema) },
    },
    handler: async (request, reply) => {
      const { body } = request
      const row = {
        id: body.id,
        name: body.name,
        description: body.description ?? null,
        base_url: body.baseUrl ?? null,
        checks_ip: body.checksIp ?? false,
        created_at: now(),
      }
      // Argon2id takes its time: before the transaction, not in it.
      const secret = await makeSecret(body.id, body.clientSecret, now())
      await write(request, async (trx, invalidate) => {
        if (!(await addService(trx, row)))
          throw new Problem('conflict', `id: there is a service "${body.id}" already.`)
        if (row.base_url !== null) await refuseBaseUrl(trx, row.id, row.base_url)
        await addCredential(trx, secret.row)
        const detail = { name: row.name, checksIp: row.checks_ip, credentialId: secret.row.id }
        await record(
          trx,
          { action: 'service.registered', serviceId: body.id, detail },
          actorOf(request),
          now(),
        )
        invalidate({ kind: 'services' })
      })
      return reply
        .header('location', `/api/v1/services/${body.id}`)
        .send({ ...viewOf(row, [secret.row]), ...secret.shown })
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/services',
    config: { policy: admin, catalog: { effects: { readOnly: true } } },
    schema: {
      operationId: 'listServices',
      summary: 'List services',
      tags,
      response: { 200: Type.Array(ref(ServiceSchema)) },
    },
    handler: async () => {
      const rows = await services(db)
      const all = await credentials(
        db,
        rows.map((row) => row.id),
      )
      return rows.map((row) =>
        viewOf(
          row,
          all.filter((one) => one.service_id === row.id),
        ),
      )
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/services/:id',
    config: { policy: admin, catalog: { effects: { readOnly: true }, errors: ['not-found'] } },
    schema: {
      operationId: 'readService',
      summary: 'Show a service',
      tags,
      params: ServiceId,
      response: { 200: ref(ServiceSchema) },
    },
    handler: async ({ params: { id } }) =>
      viewOf(known(await serviceById(db, id)), await credentials(db, [id])),
  })

  app.route({
    method: 'PATCH',
    url: '/api/v1/services/:id',
    config: {
      policy: admin,
      catalog: {
        effects: { readOnly: false },
        errors: ['validation-failed', 'unknown-field', 'not-found', 'conflict', 'policy-violation'],
      },
    },
    schema: {
      operationId: 'changeService',
      summary: 'Change the name, description, base URL or checksIp of a service',
      description: 'A field that is left out stays as it is.',
      tags,
      params: ServiceId,
      body: ServiceChanges,
      response: { 200: ref(ServiceSchema) },
    },
    handler: async (request) => {
      const { id } = request.params
      refuseOwn(id)
      const { name, description, baseUrl, checksIp } = request.body
      const row = await write(request, async (trx, invalidate) => {
        if (baseUrl !== undefined) await refuseBaseUrl(trx, id, baseUrl)
        const before = known(await lockService(trx, id))
        const after = await changeService(trx, {
          ...before,
          ...(name !== undefined && { name }),
          ...(description !== undefined && { description }),
          ...(baseUrl !== undefined && { base_url: baseUrl }),
          ...(checksIp !== undefined && { checks_ip: checksIp }),
        })
        const detail = { name: after.name, baseUrl: after.base_url, checksIp: after.checks_ip }
        await record(trx, { action: 'service.updated', serviceId: id, detail }, actorOf(request), now())
        invalidate({ kind: 'services' })
        return after
      })
      return viewOf(row, await credentials(db, [id]))
    },
  })

  app.route({
    method: 'DELETE',
    url: '/api/v1/services/:id',
    config: {
      policy: admin,
      catalog: { effects: { readOnly: false, destructive: true }, errors: ['not-found', 'policy-violation'] },
    },
    schema: {
      operationId: 'removeService',
      summary: 'Remove a service, its credentials and its scopes',
      description: 'Tokens stay, but the scopes that the service declared give nothing any more.',
      tags,
      params: ServiceId,
      response: { 200: Type.Object({ message: Type.String(), status: Type.Integer(), id: Type.String() }) },
    },
    handler: async (request) => {
      const { id } = request.params
      refuseOwn(id)
      await write(request, async (trx, invalidate) => {
        if (!(await removeService(trx, id))) known(undefined)
        await record(trx, { action: 'service.removed', serviceId: id, detail: {} }, actorOf(request), now())
        invalidate({ kind: 'services' })
        invalidate({ kind: 'scopes' })
      })
      return { message: 'Service removed', status: 200, id }
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/services/:id/credentials',
    config: {
      policy: admin,
      catalog: {
        effects: { readOnly: false },
        errors: ['validation-failed', 'not-found', 'conflict', 'policy-violation'],
      },
    },
    schema: {
      operationId: 'addCredential',
      summary: 'Give a service a second client secret',
      description: 'Two are valid at once: add the new one, bring it into use, remove the old one.',
      tags,
      params: ServiceId,
      body: CredentialBody,
      response: { 200: ref(CredentialSchema) },
    },
    handler: async (request) => {
      const { id } = request.params
      refuseOwn(id)
      const secret = await makeSecret(id, request.body.clientSecret, now())
      await write(request, async (trx, invalidate) => {
        known(await lockService(trx, id))
        if ((await credentials(trx, [id])).length >= mostCredentials) {
          throw new Problem(
            'conflict',
            `A service has at most ${mostCredentials} credentials. Remove one first.`,
          )
        }
        await addCredential(trx, secret.row)
        const detail = { credentialId: secret.row.id }
        await record(
          trx,
          { action: 'service.credential_added', serviceId: id, detail },
          actorOf(request),
          now(),
        )
        invalidate({ kind: 'services' })
      })
      return { ...credentialView(secret.row), clientId: id, ...secret.shown }
    },
  })

  app.route({
    method: 'DELETE',
    url: '/api/v1/services/:id/credentials/:credentialId',
    config: {
      policy: admin,
      catalog: { effects: { readOnly: false, destructive: true }, errors: ['not-found'] },
    },
    schema: {
      operationId: 'removeCredential',
      summary: 'End a client secret',
      tags,
      params: CredentialId,
      response: { 200: Type.Object({ message: Type.String(), status: Type.Integer(), id: Type.String() }) },
    },
    handler: async (request) => {
      const { id, credentialId } = request.params
      await write(request, async (trx, invalidate) => {
        if (!(await removeCredential(trx, id, credentialId)))
          throw new Problem('not-found', 'There is no such credential.')
        await record(
          trx,
          { action: 'service.credential_removed', serviceId: id, detail: { credentialId } },
          actorOf(request),
          now(),
        )
        invalidate({ kind: 'services' })
      })
      return { message: 'Credential removed', status: 200, id: credentialId }
    },
  })
}

async function makeSecret(serviceId: string, brought: string | undefined, now: Date) {
  const secret = brought ?? newClientSecret()
  const row = {
    id: newId('sec', now.getTime()),
    service_id: serviceId,
    phc: await hashClientSecret(secret),
    // Of a secret that somebody chose, nothing is repeated.
    hint: brought === undefined ? `${secret.slice(0, 8)}…${secret.slice(-4)}` : 'chosen by the operator',
    created_at: now,
  }
  return { row, shown: brought === undefined ? { clientSecret: secret } : {} }
}

function viewOf(row: ServiceRow, secrets: readonly CredentialRow[]): ServiceView {
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    baseUrl: row.base_url,
    checksIp: row.checks_ip,
    clientId: row.id,
    credentials: secrets.map(credentialView),
    createdAt: row.created_at.toISOString(),
  }
}

const credentialView = ({ id, hint, created_at }: CredentialRow) => ({
  id,
  hint,
  createdAt: created_at.toISOString(),
})
