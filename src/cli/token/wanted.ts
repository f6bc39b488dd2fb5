// The token that somebody wants, as create and ensure are told: options → the body of a provision.
import type { Client } from '@latchkey/sdk/client'
import { type Command, Option } from 'commander'
import { usage } from '../failure.ts'
import { entriesOf, list, pairs } from '../options.ts'
import { addExpiryOptions, type ExpiryOptions, expiryOf } from './expiry.ts'

export type WantedOptions = ExpiryOptions & {
  readonly name: string
  readonly type?: string
  readonly subject?: string
  readonly scope?: readonly string[]
  readonly preset?: readonly string[]
  readonly team?: string
  readonly audience?: readonly string[]
  readonly ip?: readonly string[]
  readonly description?: string
  readonly metadata?: readonly string[]
}

/** What was not said is left out: Latchkey has the defaults. */
export type Wanted = {
  readonly name: string
  readonly type?: string
  readonly subject?: string
  readonly scopes?: readonly string[]
  readonly team?: string
  readonly audience?: readonly string[]
  readonly ipRestriction?: readonly string[]
  readonly description?: string
  readonly metadata?: Readonly<Record<string, string>>
  readonly expireAt?: string | null
  readonly expiresIn?: string | number
}

export function addWantedOptions(command: Command): Command {
  command
    .requiredOption('--name <name>', 'what it is for, for those who will find it in a list')
    .addOption(
      new Option('--type <type>', 'whose it is: a person’s or a program’s').choices(['personal', 'service']),
    )
    .option('--subject <subject>', 'who owns it; another than you needs tokens:admin')
    .option('--scope <scope>', 'what it may do; several times, or with commas', list)
    .option('--preset <id>', 'the scopes (and the lifetime) of a preset of the catalog', list)
    .option('--team <team>', 'the one team it is limited to')
    .option('--audience <service>', 'the services it is limited to', list)
    .option('--ip <range>', 'addresses and CIDRs it may be used from', list)
  return addExpiryOptions(command, { never: true })
    .option('--description <text>', 'more about it')
    .option('--metadata <key=value>', 'a value of your own; several times', pairs)
}

/** @throws Failure when a preset does not exist */
export async function wantedOf(client: Client, options: WantedOptions): Promise<Wanted> {
  const { name, type, subject, team, description } = options
  const { scope, preset = [], audience, ip, metadata } = options
  const presets = preset.length > 0 ? await presetsOf(client, preset) : []
  const scopes = [...new Set([...(scope ?? []), ...presets.flatMap((one) => one.scopes)])]
  const said = {
    name,
    type,
    subject,
    scopes: scope || presets.length > 0 ? scopes : undefined,
    team,
    audience,
    ipRestriction: ip,
    description,
    metadata: metadata && Object.fromEntries(entriesOf(metadata, '--metadata')),
    ...lifetimeOf(presets),
    ...expiryOf(options),
  }
  return Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined)) as Wanted
}

type Preset = {
  readonly id: string
  readonly service: string
  readonly scopes: readonly string[]
  readonly expiresInDays?: number
}

/** The shortest that one of them has. */
function lifetimeOf(presets: readonly Preset[]) {
  const days = presets.flatMap(({ expiresInDays }) => expiresInDays ?? [])
  return days.length > 0 ? { expiresIn: `${Math.min(...days)}d` } : {}
}

/** An id is its service's own; where two services have the same, `service/id` tells them apart. */
async function presetsOf(client: Client, ids: readonly string[]): Promise<Preset[]> {
  const { body } = await client.call<{ presets: readonly Preset[] }>('GET', '/api/programmatic/catalog')
  return ids.map((id) => {
    const [found, another] = body.presets.filter((one) => id === one.id || id === `${one.service}/${one.id}`)
    const known = body.presets.map((one) => `${one.service}/${one.id}`).join(', ')
    if (!found) throw usage(`There is no preset "${id}".`, known ? `There are: ${known}.` : 'There are none.')
    if (another) throw usage(`Several services have a preset "${id}".`, `Say which: ${known}.`)
    return found
  })
}
