// `latchkey token ensure`: a token of this name that is good for long enough. Makes one, or rotates the one there is, or
// does nothing. One that is otherwise than wanted is not touched: to widen it, somebody has to decide.
import type { Client } from '@latchkey/sdk/client'
import { Command } from 'commander'
import { durationMs } from '../../token/duration.ts'
import { Failure, usage } from '../failure.ts'
import type { Output } from '../output.ts'
import { fields } from '../people.ts'
import { remember } from '../profile.ts'
import { type Remote, remote } from '../remote.ts'
import { duration } from './expiry.ts'
import { postOnce } from './once.ts'
import { pathOf } from './own.ts'
import { secretPair, type Token, tokenPairs, type WithSecret } from './view.ts'
import { addWantedOptions, type Wanted, type WantedOptions, wantedOf } from './wanted.ts'

type Options = WantedOptions & { readonly minValid: string; readonly grace?: string }

type Ensured =
  | { readonly action: 'created' | 'rotated'; readonly token: WithSecret }
  | { readonly action: 'unchanged'; readonly token: Token }

export const ensure = () =>
  remote<Options>(
    addWantedOptions(
      new Command('ensure').description(
        'Create a token if there is none of this name and subject; rotate it if it ends soon; else do nothing',
      ),
    )
      .option('--min-valid <duration>', 'rotate when less than this remains', '7d')
      .option('--grace <duration>', 'for how long a rotated secret goes on working (default: not at all)'),
    async (remote, options) => {
      const minValidMs = msOf('--min-valid', options.minValid)
      if (options.expiresIn !== undefined && msOf('--expires-in', options.expiresIn) <= minValidMs)
        throw usage(
          '--expires-in is not longer than --min-valid, so every run would rotate.',
          'Widen the gap.',
        )
      const wanted = await wantedOf(remote.client, options)
      showEnsured(remote.output, await ensured(remote, wanted, minValidMs, options))
    },
  )

function msOf(flag: string, text: string): number {
  const ms = durationMs(duration(text))
  if (ms > 0) return ms
  throw usage(`${flag} "${text}" is no duration.`, 'It is like 14d, 12h, P14D, or a number of seconds.')
}

async function ensured(
  remote: Remote,
  wanted: Wanted,
  minValidMs: number,
  { grace }: Options,
): Promise<Ensured> {
  const self = await remote.client.call<Token>('GET', '/api/v1/tokens/self')
  const subject = wanted.subject ?? self.body.subject
  const present = await theOne(remote.client, wanted.name, subject)
  if (!present)
    return { action: 'created', token: await postOnce<WithSecret>(remote, '/api/v1/tokens', wanted, {}) }
  refuseOther(present, wanted)
  const remainingMs =
    present.expireAt === null ? Number.POSITIVE_INFINITY : Date.parse(present.expireAt) - Date.now()
  if (remainingMs >= minValidMs) return { action: 'unchanged', token: present }
  const body = { ...endOf(wanted), ...(grace !== undefined && { gracePeriod: duration(grace) }) }
  const token = await postOnce<WithSecret>(remote, pathOf(present.id, '/rotate'), body, {})
  const { url, credential } = remote.session
  if (present.id === self.body.id && credential!.source === 'profile') await remember(url, token.token)
  return { action: 'rotated', token }
}

/** As long as a new one would have been. */
const endOf = ({ expireAt, expiresIn }: Wanted) =>
  expireAt === undefined ? { expiresIn: expiresIn ?? '90d' } : { expireAt }

/** The token of exactly this name and subject, if it is good. @throws Failure when it is paused, or not the only one */
async function theOne(client: Client, name: string, subject: string): Promise<Token | undefined> {
  const found: Token[] = []
  const query = { q: name, subject, limit: 100 }
  for await (const { body } of client.pages<Token[]>('/api/v1/tokens', { query }))
    found.push(...body.filter((one) => one.name === name && ['active', 'disabled'].includes(one.status)))
  const ids = found.map(({ id }) => id).join(', ')
  if (found.length > 1)
    throw conflict(`${subject} has several tokens "${name}": ${ids}.`, 'Revoke all but one.')
  if (found[0]?.status === 'disabled')
    throw conflict(
      `The token "${name}" (${ids}) is disabled.`,
      `Enable it, or revoke it: latchkey token enable ${ids}`,
    )
  return found[0]
}

/** @throws Failure naming what differs */
function refuseOther(present: Token, wanted: Wanted): void {
  const compared = [
    ['scopes', present.scopes, wanted.scopes],
    ['audience', present.audience, wanted.audience],
    ['type', [present.type], one(wanted.type)],
    ['team', one(present.team) ?? [], one(wanted.team)],
    ['ip', present.ipRestriction?.split(', ') ?? [], wanted.ipRestriction],
  ] as const
  const differ = compared.filter(([, is, want]) => want && [...is].sort().join() !== [...want].sort().join())
  if (differ.length === 0) return
  const named = differ.map(
    ([what, is, want]) => `${what}: is ${is.join(' ') || 'none'}, wanted ${want!.join(' ')}`,
  )
  throw conflict(
    `The token "${present.name}" (${present.id}) is another than wanted (${named.join('; ')}).`,
    'Narrow it with "latchkey token update", or revoke it to have another made.',
  )
}

const one = (value: string | null | undefined) => (value ? [value] : undefined)

const conflict = (message: string, whatToDo: string) => new Failure('conflict', 'conflict', message, whatToDo)

function showEnsured(output: Output, { action, token }: Ensured): void {
  const secret = action === 'unchanged' ? [] : [token.token]
  output.show({
    json: { action, token },
    quiet: secret,
    people: () => fields([['action', action], ...tokenPairs(token), ...secret.map(secretPair)]),
  })
  if (action === 'unchanged')
    output.note('It is good for long enough; its secret was shown when it was made.')
}
