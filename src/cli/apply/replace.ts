// Another token takes the place of one that would have to become wider, which no token does. In this order nothing is down:
// the new one is made and its secret kept; the old one is cut back to what both may do, and ends after a day, within
// which whoever uses it is given the new secret. A run that ends in between is finished by the next.
import { postOnce } from '../token/once.ts'
import { pathOf } from '../token/own.ts'
import type { Token, WithSecret } from '../token/view.ts'
import { addressesOf, isWithin } from './addresses.ts'
import { reachOf } from './catalog.ts'
import { about, secretOf } from './new-secret.ts'
import type { Tools } from './plan.ts'
import { type Change, changed, changesOf, type Step } from './step.ts'
import type { Fields, WantedToken } from './wanted.ts'

const graceMs = 24 * 3_600_000

/** In the new token's metadata stands whose place it took. */
export const isSucceeded = ({ id }: Token, all: readonly Token[]): boolean =>
  all.some(({ metadata }) => metadata['replaces'] === id)

export function replaced(
  wanted: WantedToken,
  present: Token,
  changes: readonly Change[],
  tools: Tools,
): Step {
  const make = () => postOnce<WithSecret>(tools, '/api/v1/tokens', bodyOf(wanted, present), {})
  return {
    ...about(wanted),
    action: 'replace',
    id: present.id,
    changes,
    secret: secretOf(wanted),
    run: async () => {
      const made = await tools.secrets!.keep(secretOf(wanted), make, ({ token }) => token)
      for (const step of retired(present, made, tools)) await step.run()
      return { id: made.id, notes: [`${present.id} goes on for a day at most: use ${made.id} from now on.`] }
    },
  }
}

/** What the file leaves out is taken over, the end included: nothing gets wider by silence. */
function bodyOf(wanted: WantedToken, present: Token): Fields {
  const { description, team, audience, scopes, ipRestriction, expireAt, metadata } = present
  const end = wanted['expiresIn'] === undefined && { expireAt }
  return {
    ...{ type: 'service', description, team, audience, scopes, ipRestriction, ...end },
    ...wanted,
    metadata: { ...Object(wanted['metadata'] ?? metadata), replaces: present.id },
  }
}

/** What bounds a token, as far as PATCH can. */
export type Bounds = { readonly scopes: readonly string[]; readonly ipRestriction?: unknown }

/** No step, if it is as it should be already. */
export function retired(former: Token, successor: Bounds, { client, catalog }: Tools): Step[] {
  const changes = changesOf(former, lessOf(former, successor, { catalog }))
  if (changes.length === 0) return []
  const run = async () => {
    await client.call('PATCH', pathOf(former.id), { body: changed(changes) })
    return { id: former.id }
  }
  return [{ ...about(former), action: 'change', id: former.id, changes, run }]
}

function lessOf(former: Token, successor: Bounds, { catalog }: Pick<Tools, 'catalog'>): Fields {
  const [can, could] = [reachOf(successor.scopes, catalog), reachOf(former.scopes, catalog)]
  const both = [
    ...former.scopes.filter((scope) => can.has(scope)),
    ...successor.scopes.filter((scope) => could.has(scope)),
  ]
  const isWithinSuccessor = former.scopes.every((scope) => can.has(scope))
  const addresses = shared(addressesOf(former.ipRestriction), addressesOf(successor.ipRestriction))
  const end = new Date(Date.now() + graceMs).toISOString()
  return {
    ...(!isWithinSuccessor && { scopes: [...new Set(both)] }),
    ...(addresses.length > 0 && { ipRestriction: addresses }),
    ...((former.expireAt === null || former.expireAt > end) && { expireAt: end }),
  }
}

/** Empty: no less than now; for who is moved from here to there, there is no address in common. */
function shared(now: readonly string[], then: readonly string[]): string[] {
  if (isWithin(now, then)) return []
  const both = [...then.filter((one) => isWithin([one], now)), ...now.filter((one) => isWithin([one], then))]
  return [...new Set(both)]
}
