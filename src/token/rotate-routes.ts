// POST /api/v1/tokens/{id}/rotate and …/self/rotate: a new secret for a token that lives on.
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Trx } from '../db/tables.ts'
import { bearerSecret } from '../guard/authorization.ts'
import { actorOf, tokenPrincipal } from '../guard/principal.ts'
import type { Write } from '../guard/write.ts'
import { Problem } from '../http/problem.ts'
import type { ProblemCode } from '../http/problems.ts'
import { ref } from '../http/ref.ts'
import type { App } from '../http/server.ts'
import { acknowledged, preferred } from './acknowledge.ts'
import { viewOf } from './model.ts'
import { once } from './once.ts'
import type { Mint } from './provision.ts'
import { type TokenRow, tokenById } from './queries.ts'
import { type Retries, RetryHeaders, refuseReplay } from './retries.ts'
import { rotate } from './rotate.ts'
import { Id, RotateBody, RotatedSchema } from './schemas.ts'
import { versionOf } from './secrets.ts'
import { visible } from './visible.ts'

export type RotateDependencies = {
  readonly write: Write
  readonly mint: Mint
  readonly retries: Retries
  readonly now: () => number
  readonly effectiveWithinMs: number
}

const errors = [
  'validation-failed',
  'unknown-field',
  'policy-violation',
  'conflict',
  'idempotency-in-progress',
  'idempotency-key-reused',
] as const satisfies readonly ProblemCode[]
const description =
  'The id, the rights and (unless told otherwise) the end stay. The secret before ends at once, or after gracePeriod, or at the first use of the new one; when this is answered, it is so on every replica.'

export function rotateRoutes(app: App, dependencies: RotateDependencies): void {
  app.addSchema(RotatedSchema)
  const schema = {
    description,
    tags: ['Tokens'],
    headers: RetryHeaders,
    body: RotateBody,
    response: { 200: ref(RotatedSchema), 202: ref(RotatedSchema) },
  }
  const effects = { readOnly: false, destructive: true }

  app.route({
    method: 'POST',
    url: '/api/v1/tokens/self/rotate',
    config: {
      policy: { access: 'token', scopes: ['tokens:rotate-self'] },
      catalog: { effects, errors },
    },
    schema: { ...schema, operationId: 'rotateSelf', summary: 'Rotate the token that makes this call' },
    preValidation: bodyIsOptional,
    handler: (request, reply) =>
      rotateOne(request, reply, tokenPrincipal(request).facts.tokenId, dependencies) as never,
  })

  app.route({
    method: 'POST',
    url: '/api/v1/tokens/:id/rotate',
    config: {
      policy: { access: 'token', scopes: ['tokens:write'] },
      catalog: { effects, errors: [...errors, 'not-found'] },
    },
    schema: { ...schema, params: Id, operationId: 'rotateToken', summary: 'Give a token a new secret' },
    preValidation: bodyIsOptional,
    handler: (request, reply) => rotateOne(request, reply, request.params.id, dependencies) as never,
  })
}

/** All of it may be left out, and with it the body; `null` is a body. */
async function bodyIsOptional(request: FastifyRequest): Promise<void> {
  if (request.body === undefined) request.body = {}
}

async function rotateOne(
  request: FastifyRequest,
  reply: FastifyReply,
  id: string,
  { write, mint, retries, now, effectiveWithinMs }: RotateDependencies,
) {
  const wish = preferred(request)
  const retry = retries.of(request)
  const { answer, replayed } = await write(
    request,
    (trx, invalidate, target) => {
      const caller = tokenPrincipal(request)
      const at = new Date(now())
      const make = async () => {
        const row = visible(target, caller)
        invalidate({ kind: 'token', id })
        if (row.id === caller.facts.tokenId) await refuseReplaced(trx, row, request, mint)
        const body = request.body as RotateBody
        const secret = await rotate(trx, row, body, caller, actorOf(request), mint, at)
        return { tokenId: id, answer: { ...viewOf((await tokenById(trx, id))!, at), token: secret } }
      }
      const admit = async () => {
        await refuseReplay(trx, id, caller)
        // It may overtake the first answer, which still waits for the other replicas; so it waits for them as well.
        invalidate({ kind: 'token', id })
      }
      return once(trx, retry, at, make, admit)
    },
    { target: id, acknowledge: wish.acknowledge },
  )
  if (replayed) reply.header('idempotency-replayed', 'true')
  return { ...answer, ...acknowledged(reply, wish, new Date(now()), effectiveWithinMs) }
}

/**
 * A secret in its grace period works as before, but it cannot take the token from its successor: of two jobs that
 * rotate at the same time, the second must not undo what the first one stored.
 */
async function refuseReplaced(trx: Trx, row: TokenRow, request: FastifyRequest, { ring }: Mint) {
  const secret = bearerSecret(request.headers.authorization)
  const version = secret === null ? undefined : await versionOf(trx, ring.digests(secret))
  if (version === row.secret_version) return
  throw new Problem(
    'conflict',
    'This secret has been replaced already. Rotate with the one that replaced it.',
  )
}
