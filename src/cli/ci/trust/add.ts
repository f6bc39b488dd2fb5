// `latchkey ci trust add`: which CI jobs get which tokens. By options, or by a file with all of it.
import { Command, Option } from 'commander'
import { usage } from '../../failure.ts'
import { textOf } from '../../input.ts'
import { entriesOf, list, pairs } from '../../options.ts'
import { remote } from '../../remote.ts'
import { type Policy, showPolicy } from './view.ts'

type Options = {
  readonly file?: string
  readonly name?: string
  readonly issuer?: string
  readonly condition?: readonly string[]
  readonly scope?: readonly string[]
  readonly audience?: string
  readonly subject?: string
  readonly provider?: string
  readonly team?: string
  readonly service?: readonly string[]
  readonly ip?: readonly string[]
  readonly maxMinutes?: string
  readonly expiresAt?: string
  readonly description?: string
}

const single = [
  'name',
  'issuer',
  'condition',
  'scope',
  'audience',
  'subject',
  'provider',
  'team',
  'service',
  'ip',
]
const others = [...single, 'maxMinutes', 'expiresAt', 'description']

export const add = () =>
  remote<Options>(
    new Command('add')
      .description('Trust CI jobs: let them exchange their identity for a token')
      .option('--name <name>', 'what is trusted, for those who will find it in a list')
      .option('--issuer <url>', 'who gives the jobs their identity: its iss, letter by letter')
      .option(
        '--condition <claim=value>',
        'what the identity must say; several times: all; the same claim again: or that',
        pairs,
      )
      .option('--scope <scope>', 'what the tokens may do at most; several times, or with commas', list)
      .option('--audience <audience>', 'whom the identity must be for (default: this Latchkey’s URL)')
      .option('--subject <subject>', 'who owns the tokens (default: ci_ and the id of the policy)')
      .addOption(
        new Option('--provider <provider>', 'needed for a GitHub or GitLab of your own').choices([
          'github',
          'gitlab',
          'oidc',
        ]),
      )
      .option('--team <team>', 'the one team the tokens are limited to')
      .option('--service <id>', 'the services the tokens are limited to', list)
      .option('--ip <range>', 'addresses and CIDRs the tokens may be used from', list)
      .option('--max-minutes <number>', 'no token lives longer; at most 60 (default: 15)')
      .option('--expires-at <time>', 'the end of the policy itself, RFC 3339 with zone')
      .option('--description <text>', 'more about it')
      .addOption(
        new Option(
          '--file <file>',
          'all of it, as the API takes it, JSON or YAML (- is stdin); instead of options',
        ).conflicts(others),
      ),
    async ({ client, output }, options) => {
      const body = options.file === undefined ? bodyOf(options) : await bodyIn(options.file)
      const { body: policy } = await client.call<Policy>('POST', '/api/v1/trust-policies', { body })
      showPolicy(output, policy)
    },
  )

function bodyOf(options: Options): object {
  const { name, issuer, condition, scope } = options
  const missing = Object.entries({ name, issuer, condition, scope })
    .filter(([, value]) => value === undefined)
    .map(([flag]) => `--${flag}`)
  if (missing.length > 0) throw usage(`Missing: ${missing.join(', ')}.`, 'Or give all of it by --file.')
  return {
    name,
    issuer,
    conditions: conditionsOf(condition!),
    scopes: scope,
    audience: options.audience,
    subject: options.subject,
    provider: options.provider,
    team: options.team,
    services: options.service,
    ipRestriction: options.ip,
    maxLifetimeMinutes: options.maxMinutes === undefined ? undefined : Number(options.maxMinutes),
    expireAt: options.expiresAt,
    description: options.description,
  }
}

/** All as text, as GitHub and GitLab have it; for numbers and the like there is --file. */
function conditionsOf(given: readonly string[]): Record<string, string | string[]> {
  const values = new Map<string, string[]>()
  for (const [claim, value] of entriesOf(given, '--condition'))
    values.set(claim, [...(values.get(claim) ?? []), value])
  return Object.fromEntries(
    [...values].map(([claim, all]) => [claim, all.length === 1 ? all[0]! : all] as const),
  )
}

async function bodyIn(file: string): Promise<unknown> {
  const [text, { parse }] = await Promise.all([textOf(file), import('yaml')])
  try {
    return parse(text)
  } catch (error) {
    const [why] = (error as Error).message.split('\n')
    throw usage(`--file: ${file} is neither JSON nor YAML: ${why}`, 'See: latchkey ci trust show ID --json')
  }
}
