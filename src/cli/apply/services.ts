// Steps for services: registered, changed, and with --prune removed. What they declare is declared.ts.
import { pathOf, type Service, type WithClientSecret } from '../admin/service/view.ts'
import { ownServiceId } from './names.ts'
import type { Tools } from './plan.ts'
import { serviceFile } from './secrets.ts'
import { changed, changesOf, type Step } from './step.ts'
import { type Fields, lists, type Wanted, type WantedService } from './wanted.ts'

export async function serviceSteps({ services: wanted }: Wanted, tools: Tools): Promise<Step[]> {
  if (!wanted) return []
  const { body: present } = await tools.client.call<Service[]>('GET', '/api/v1/services')
  const extra = present.filter(({ id }) => id !== ownServiceId && !wanted.some((one) => one.id === id))
  return [
    ...wanted.flatMap((one) =>
      stepsFor(
        one,
        present.find(({ id }) => id === one.id),
        tools,
      ),
    ),
    ...(tools.prune ? extra.map((one) => removed(one, tools)) : []),
  ]
}

function stepsFor(wanted: WantedService, present: Service | undefined, tools: Tools): Step[] {
  const fields = ownFields(wanted)
  if (!present) return [created(fields, wanted, tools)]
  const isLost = tools.secrets?.isLost(serviceFile(wanted.id))
  return [updated(fields, present, tools), ...(isLost ? [newSecret(wanted, tools)] : [])]
}

const about = ({ id }: { readonly id: string }) =>
  ({ kind: 'service', name: id, subject: null, id, secret: null }) as const

const ownFields = (service: WantedService): Fields =>
  Object.fromEntries(Object.entries(service).filter(([field]) => !(lists as string[]).includes(field)))

function created(fields: Fields, wanted: WantedService, { client, secrets }: Tools): Step {
  const secret = serviceFile(wanted.id)
  const register = () => client.call<WithClientSecret<Service>>('POST', '/api/v1/services', { body: fields })
  return {
    ...about(wanted),
    action: 'create',
    id: null,
    changes: changesOf({}, fields),
    secret,
    run: async () => {
      const { body } = await secrets!.keep(secret, register, (made) => made.body.clientSecret)
      return { id: body.id }
    },
  }
}

function updated(fields: Fields, present: Service, { client }: Tools): Step {
  const changes = changesOf(present, fields)
  return {
    ...about(present),
    action: changes.length > 0 ? 'change' : 'keep',
    changes,
    run: async () => {
      await client.call('PATCH', pathOf(present.id), { body: changed(changes) })
      return { id: present.id }
    },
  }
}

/** The lost one is left, since it is not known which it is: there may be others that are in use. */
function newSecret(wanted: WantedService, { client, secrets }: Tools): Step {
  const secret = serviceFile(wanted.id)
  const add = () =>
    client.call<{ id: string; clientSecret: string }>('POST', pathOf(wanted.id, '/credentials'), { body: {} })
  return {
    ...about(wanted),
    action: 'change',
    changes: [{ field: 'client secret', from: 'lost by an interrupted run', to: 'another' }],
    secret,
    run: async () => {
      const { body } = await secrets!.keep(secret, add, (made) => made.body.clientSecret)
      const lead = `See "latchkey admin service show ${wanted.id}": all secrets but ${body.id} that nobody uses can be removed.`
      return { id: wanted.id, notes: [lead] }
    },
  }
}

function removed(present: Service, { client }: Tools): Step {
  return {
    ...about(present),
    action: 'remove',
    changes: [],
    run: async () => {
      await client.call('DELETE', pathOf(present.id))
      return { id: present.id }
    },
  }
}
