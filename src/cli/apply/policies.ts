// Steps for trust policies, which are found again by their name.
import { type Policy, pathOf } from '../ci/trust/view.ts'
import { Failure } from '../failure.ts'
import { gather } from '../pages.ts'
import { addressesOf } from './addresses.ts'
import type { Tools } from './plan.ts'
import { changed, changesOf, inUtc, type Step } from './step.ts'
import type { Fields, Wanted, WantedPolicy } from './wanted.ts'

export async function policySteps({ trustPolicies: wanted }: Wanted, tools: Tools): Promise<Step[]> {
  if (!wanted) return []
  const all = { all: true as const, limit: '100' }
  const { items: present } = await gather<Policy>(tools.client, '/api/v1/trust-policies', {}, all)
  const extra = present.filter(({ name }) => !wanted.some((one) => one.name === name))
  return [
    ...wanted.map((one) => stepFor(one, theOne(one.name, present), tools)),
    ...(tools.prune ? extra.map((one) => removed(one, tools)) : []),
  ]
}

/** @throws Failure when the name does not say which */
function theOne(name: string, present: readonly Policy[]): Policy | undefined {
  const found = present.filter((one) => one.name === name)
  if (found.length < 2) return found[0]
  const ids = found.map(({ id }) => id).join(', ')
  throw conflict(`Several trust policies are called "${name}": ${ids}.`, 'Remove all but one.')
}

function stepFor(wanted: WantedPolicy, present: Policy | undefined, tools: Tools): Step {
  if (!present) return created(wanted, tools)
  refuseAnother(wanted, present)
  return updated(wanted, present, tools)
}

/** What a policy is for is not changed: it would be another one. */
function refuseAnother(wanted: WantedPolicy, present: Policy): void {
  for (const field of ['issuer', 'provider', 'subject'] as const) {
    if (wanted[field] === undefined || wanted[field] === present[field]) continue
    throw conflict(
      `The ${field} of the trust policy "${wanted.name}" is ${present[field]}, and is never changed.`,
      `Give the new one another name; or remove the old one first: latchkey ci trust remove ${present.id}`,
    )
  }
}

const about = ({ name }: { readonly name: string }) =>
  ({ kind: 'trust policy', name, subject: null, secret: null }) as const

function created(wanted: WantedPolicy, { client }: Tools): Step {
  return {
    ...about(wanted),
    action: 'create',
    id: null,
    changes: changesOf({}, wanted),
    run: async () => {
      const { body } = await client.call<Policy>('POST', '/api/v1/trust-policies', { body: wanted })
      return { id: body.id }
    },
  }
}

function updated(wanted: WantedPolicy, present: Policy, { client }: Tools): Step {
  const { issuer: _issuer, provider: _provider, subject: _subject, ...fields } = wanted
  const stated = { ...fields, conditions: withTrigger(wanted, present) }
  const changes = changesOf(comparable(present), comparable(stated))
  return {
    ...about(present),
    action: changes.length > 0 ? 'change' : 'keep',
    id: present.id,
    changes,
    run: async () => {
      await client.call('PATCH', pathOf(present.id), { body: changed(changes) })
      return { id: present.id }
    },
  }
}

const comparable = (policy: Fields): Fields => ({
  ...policy,
  ...('ipRestriction' in policy && { ipRestriction: addressesOf(policy['ipRestriction']) }),
  ...('expireAt' in policy && { expireAt: inUtc(policy['expireAt']) }),
})

/** What may start a job is a condition even if nobody says so; left out of the file, it is as it is. */
function withTrigger({ conditions }: WantedPolicy, present: Policy): Fields {
  const claim = { github: 'event_name', gitlab: 'pipeline_source' }[present.provider]
  const value = claim === undefined ? undefined : present.conditions[claim]
  return value === undefined ? conditions : { [claim!]: value, ...conditions }
}

function removed(present: Policy, { client }: Tools): Step {
  return {
    ...about(present),
    action: 'remove',
    id: present.id,
    changes: [],
    run: async () => {
      const { body } = await client.call<{ revokedTokens: number }>('DELETE', pathOf(present.id))
      return {
        id: present.id,
        notes: [`${body.revokedTokens} tokens that came of ${present.id} were revoked with it.`],
      }
    },
  }
}

const conflict = (message: string, whatToDo: string) => new Failure('conflict', 'conflict', message, whatToDo)
