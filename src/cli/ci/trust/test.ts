// `latchkey ci trust test`: would this policy take that token? Check by check and claim by claim. Exit 0: yes; 3: no.
import { Command, Option } from 'commander'
import { exitCodes, usage } from '../../failure.ts'
import { textOf } from '../../input.ts'
import { table } from '../../people.ts'
import { remote } from '../../remote.ts'
import { addJwtOptions, type JwtOptions, readJwt } from '../jwt.ts'
import { pathOf, valueText } from './view.ts'

type Options = JwtOptions & { readonly claims?: string }

type Tested = {
  readonly matches: boolean
  readonly checks: readonly { readonly check: string; readonly ok: boolean; readonly why: string }[]
  readonly conditions: readonly {
    readonly claim: string
    readonly expected: unknown
    readonly actual: unknown
    readonly ok: boolean
    readonly why: string
  }[]
}

const example = 'For example: latchkey ci trust test pol_… --jwt-file job.jwt, or --claims claims.json'

export const test = () =>
  remote<Options>(
    addJwtOptions(
      new Command('test')
        .description('Explain why a token matches a trust policy, or does not; exit 3: it does not')
        .argument('<id>', 'pol_…'),
    )
      .addOption(
        new Option(
          '--claims <file>',
          'what such a token would say, as JSON; no signature is checked',
        ).conflicts(['jwtFile', 'jwtEnv']),
      )
      .addHelpText(
        'after',
        '\nA token is read from stdin unless an option says otherwise. It is not used up.',
      ),
    async ({ client, output }, options, id) => {
      const body = await sampleOf(options)
      const { body: tested } = await client.call<Tested>('POST', pathOf(id!, '/test'), { body })
      const { matches, checks, conditions } = tested
      output.show({
        json: { matches, checks, conditions },
        quiet: [...checks, ...conditions]
          .filter((one) => !one.ok)
          .map((one) => ('claim' in one ? one.claim : one.check)),
        people: () => shown(tested),
      })
      if (!matches) process.exitCode = exitCodes.inactive
    },
  )

async function sampleOf({ claims, ...jwt }: Options): Promise<object> {
  if (claims === undefined) return { token: await readJwt(jwt, example) }
  const text = await textOf(claims)
  try {
    return { claims: JSON.parse(text) }
  } catch {
    throw usage(`--claims: ${claims} is not JSON.`, 'It must hold one object: the claims.')
  }
}

function shown({ matches, checks, conditions }: Tested): string {
  const rows = [
    ...checks.map(({ check, ok, why }) => [mark(ok), check, '', '', ok ? '' : why]),
    ...conditions.map(({ claim, ok, expected, actual, why }) => [
      mark(ok),
      claim,
      valueText(expected),
      actual === null ? '' : valueText(actual),
      ok ? '' : why,
    ]),
  ]
  const verdict = matches ? 'It matches.' : 'It does not match.'
  return `${table(['', 'CLAIM OR CHECK', 'POLICY', 'TOKEN', 'WHY'], rows)}\n${verdict}`
}

const mark = (ok: boolean) => (ok ? 'ok' : 'NO')
