// `latchkey token verify`: is this secret good, and may it do that? Exit 0: yes; 3: no.
import { Command } from 'commander'
import { askSecret } from '../ask.ts'
import { exitCodes } from '../failure.ts'
import { list } from '../options.ts'
import { fields, instant } from '../people.ts'
import { remote } from '../remote.ts'
import { secretFromFile, secretFromStdin } from '../secret-input.ts'
import type { Token } from './view.ts'

type Options = {
  readonly tokenStdin?: true
  readonly tokenFile?: string
  readonly scope?: readonly string[]
  readonly team?: string
  readonly ip?: string
}

type Verdict = {
  readonly valid: boolean
  readonly code: string
  readonly missingScopes: readonly string[]
  readonly token: Pick<
    Token,
    'id' | 'type' | 'subject' | 'team' | 'audience' | 'scopes' | 'ipRestriction' | 'expireAt'
  > | null
}

const example = 'latchkey token verify --token-stdin < secret.txt'

export const verify = () =>
  remote<Options>(
    new Command('verify')
      .description('Ask whether a secret is good, and may do something; exit 3: it is not')
      .option(
        '--token-stdin',
        'read the secret in question from stdin (the default where there is no terminal)',
      )
      .option('--token-file <file>', 'read the secret in question from a file')
      .option('--scope <scope>', 'what it would have to be allowed; several times, or with commas', list)
      .option('--team <team>', 'which it would be used for')
      .option('--ip <address>', 'where it would be used from')
      .addHelpText(
        'after',
        `\nThe asker needs tokens:introspect, and is who is signed in. Example: ${example}`,
      ),
    async ({ client, output }, options) => {
      const { scope, team, ip } = options
      const body = { token: await secretOf(options), requiredScopes: scope, team, clientIp: ip }
      const { body: verdict } = await client.call<Verdict>('POST', '/api/v1/verify', { body })
      output.show({
        json: { verdict },
        quiet: verdict.token ? [verdict.token.id] : [],
        people: () => shown(verdict),
      })
      if (!verdict.valid) process.exitCode = exitCodes.inactive
    },
    { credentialOptions: false },
  )

function secretOf({ tokenStdin, tokenFile }: Options): Promise<string> {
  if (tokenFile !== undefined) return secretFromFile('--token-file', tokenFile)
  if (tokenStdin || !process.stdin.isTTY) return secretFromStdin('--token-stdin', `For example: ${example}`)
  return askSecret('Secret in question (not shown): ', `Hand it over by stdin: ${example}`)
}

function shown({ code, missingScopes, token }: Verdict): string {
  const { id, type, subject, team, audience, scopes, ipRestriction, expireAt } = token ?? {}
  return fields([
    ['verdict', code],
    ...(missingScopes.length > 0 ? [['missing scopes', missingScopes] as const] : []),
    ...(token
      ? ([
          ['id', id],
          ['type', type],
          ['subject', subject],
          ['team', team],
          ['audience', audience],
          ['scopes', scopes],
          ['ip restriction', ipRestriction],
          ['expires', instant(expireAt ?? null, 'never')],
        ] as const)
      : []),
  ])
}
