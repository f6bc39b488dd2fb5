// Steps for service tokens, which are found again by name and subject. What makes one narrower is a change of it; for
// anything else another one takes its place (replace.ts).
import { Failure } from '../failure.ts'
import { gather } from '../pages.ts'
import { pathOf } from '../token/own.ts'
import type { Token } from '../token/view.ts'
import { addressesOf, isWithin } from './addresses.ts'
import { catalogWith, reachOf } from './catalog.ts'
import { about, created, newSecret, secretOf } from './new-secret.ts'
import type { Tools } from './plan.ts'
import { isSucceeded, replaced, retired } from './replace.ts'
import { type Change, changed, changesOf, inUtc, type Step } from './step.ts'
import type { Fields, Wanted, WantedToken } from './wanted.ts'

export async function tokenSteps(wanted: Wanted, tools: Tools): Promise<Step[]> {
  const { tokens } = wanted
  if (!tokens) return []
  const catalog = catalogWith(tools.catalog, wanted)
  const present = await presentOf(tokens, tools)
  const own = tokens.flatMap((one) => stepsFor(one, present, { ...tools, catalog }))
  return [...own, ...(tools.prune ? await removals(tokens, present, tools) : [])]
}

/** Those of the file's subjects that work, or would if they were not paused; newest first. */
async function presentOf(tokens: readonly WantedToken[], { client }: Tools): Promise<Token[]> {
  const present: Token[] = []
  for (const subject of new Set(tokens.map((one) => one.subject))) {
    const filter = { type: 'service', subject }
    const { items } = await gather<Token>(client, '/api/v1/tokens', filter, { all: true, limit: '100' })
    present.push(...items.filter(({ status }) => status === 'active' || status === 'disabled'))
  }
  return present
}

function stepsFor(wanted: WantedToken, all: readonly Token[], tools: Tools): Step[] {
  const found = all.filter(({ name, subject }) => name === wanted.name && subject === wanted.subject)
  const former = found.filter((one) => isSucceeded(one, found))
  const [present, another] = found.filter((one) => !former.includes(one))
  if (another)
    throw conflict(
      `${wanted.subject} has several service tokens "${wanted.name}": ${present!.id}, ${another.id}.`,
      'Revoke all but one.',
    )
  if (!present) return [created(wanted, statedOf(wanted), tools)]
  const then = { ...present, ...wanted }
  return [...stepsOf(wanted, present, tools), ...former.flatMap((one) => retired(one, then, tools))]
}

function stepsOf(wanted: WantedToken, present: Token, tools: Tools): Step[] {
  const changes = changesOf(comparable(present), comparable(statedOf(wanted)))
  if (changes.every((change) => makesNarrower(change, present, tools))) {
    const isLost = tools.secrets?.isLost(secretOf(wanted))
    return [narrowed(present, changes, tools), ...(isLost ? [newSecret(present, tools)] : [])]
  }
  if (present.status === 'active') return [replaced(wanted, present, changes, tools)]
  throw conflict(
    `The token "${present.name}" (${present.id}) is disabled, and what takes its place would not be.`,
    `Enable it, or revoke it: latchkey token enable ${present.id}`,
  )
}

/** How long a token is to live is said to whoever makes it; later only a time can be compared. */
const statedOf = ({
  name: _name,
  subject: _subject,
  expiresIn: _expiresIn,
  ...fields
}: WantedToken): Fields => fields

function comparable(token: Fields): Fields {
  const { replaces: _ours, ...metadata } = Object(token['metadata'])
  return {
    ...token,
    ...('metadata' in token && { metadata }),
    ...('ipRestriction' in token && { ipRestriction: addressesOf(token['ipRestriction']) }),
    ...('expireAt' in token && { expireAt: inUtc(token['expireAt']) }),
  }
}

/** What PATCH does (docs/decisions/0008): words, and less of everything but team and audience. */
function makesNarrower({ field, from, to }: Change, { scopes }: Token, { catalog }: Tools): boolean {
  if (field === 'description' || field === 'metadata') return true
  if (field === 'scopes') return (to as string[]).every((scope) => reachOf(scopes, catalog).has(scope))
  if (field === 'ipRestriction') return isWithin(to as string[], from as string[])
  return field === 'expireAt' && to !== null && (from === null || String(to) < String(from))
}

function narrowed(present: Token, changes: readonly Change[], { client }: Tools): Step {
  return {
    ...about(present),
    action: changes.length > 0 ? 'change' : 'keep',
    id: present.id,
    changes,
    run: async () => {
      const { replaces } = present.metadata
      const body = changed(changes)
      const metadata = body['metadata'] && { ...body['metadata'], ...(replaces && { replaces }) }
      await client.call('PATCH', pathOf(present.id), { body: { ...body, metadata } })
      return { id: present.id }
    },
  }
}

/** Of the file's subjects, since other tokens are others' business; never the one that we are signed in with. */
async function removals(
  tokens: readonly WantedToken[],
  present: readonly Token[],
  { client }: Tools,
): Promise<Step[]> {
  const { body: self } = await client.call<Token>('GET', '/api/v1/tokens/self')
  const isWanted = (one: Token) =>
    tokens.some(({ name, subject }) => name === one.name && subject === one.subject)
  return present
    .filter((one) => !isWanted(one) && one.id !== self.id)
    .map((one) => ({
      ...about(one),
      action: 'remove',
      id: one.id,
      changes: [],
      run: async () => {
        await client.call('DELETE', pathOf(one.id))
        return { id: one.id }
      },
    }))
}

const conflict = (message: string, whatToDo: string) => new Failure('conflict', 'conflict', message, whatToDo)
