// `latchkey ci exchange`: the identity that the CI gives a job → a token of minutes (RFC 8693). The job is who it is by
// that identity alone, so no credential is read.
import { LatchkeyError } from '@latchkey/sdk/client'
import { Command, Option } from 'commander'
import { durationMs } from '../../token/duration.ts'
import { Failure, usage } from '../failure.ts'
import { list } from '../options.ts'
import { createOutput, type Output, type OutputOptions, outputOptions } from '../output.ts'
import { fields, instant } from '../people.ts'
import { clientOf, locate, type SessionOptions, urlOption } from '../session.ts'
import { duration } from '../token/expiry.ts'
import { githubIdentity, inGithubActions } from './github.ts'
import { addJwtOptions, claimsOf, isGiven, type JwtOptions, readJwt } from './jwt.ts'
import { mask } from './mask.ts'

type Options = JwtOptions &
  Pick<SessionOptions, 'url'> &
  OutputOptions & {
    readonly audience?: string
    readonly scope?: readonly string[]
    readonly service?: readonly string[]
    readonly ttl?: string
  }

export function exchange(): Command {
  const command = addJwtOptions(
    new Command('exchange').description(
      'Exchange a CI job’s identity for a token of minutes; needs no sign-in',
    ),
  )
    .option(
      '--scope <scope>',
      'what the job needs; several times, or with commas (default: all there is)',
      list,
    )
    .option('--service <id>', 'the services the token is to be limited to', list)
    .option('--ttl <duration>', 'for how long, as 10m, as far as the trust policy allows (default: 15m)')
    .addOption(
      new Option(
        '--audience <audience>',
        'in GitHub Actions: whom the identity is for (default: the URL)',
      ).conflicts(['jwtFile', 'jwtEnv']),
    )
    .addHelpText('after', about)
  for (const option of [urlOption(), ...outputOptions()])
    command.addOption(option.helpGroup('Common options:'))
  return command.action(run)
}

const about = `
In GitHub Actions the job’s identity is asked for, and the token is hidden in the log. Elsewhere it is read from stdin, or
from where --jwt-file or --jwt-env says. Example: TOKEN=$(latchkey ci exchange --scope posts:write --quiet)`

async function run(options: Options): Promise<void> {
  const seconds = options.ttl === undefined ? undefined : secondsOf(options.ttl)
  const { url, urlFrom } = await locate(options)
  const jwt = await identityOf(options, url)
  const client = clientOf({ url, urlFrom, credential: null, shadowed: [] })
  const asked = Date.now()
  const body = formOf(jwt, options, seconds)
  const { body: granted } = await client.call<Granted>('POST', '/oauth2/token', { body }).catch((error) => {
    throw refused(error, jwt)
  })
  mask(granted.access_token)
  show(createOutput(options), granted, asked)
}

function secondsOf(ttl: string): number {
  const seconds = durationMs(duration(ttl)) / 1_000
  if (seconds > 0) return seconds
  throw usage(`--ttl "${ttl}" is no duration.`, 'It is like 90s, 10m or 1h.')
}

function identityOf(options: Options, url: string): Promise<string> {
  if (!isGiven(options) && inGithubActions()) return githubIdentity(options.audience ?? url)
  if (options.audience === undefined)
    return readJwt(options, 'For example: latchkey ci exchange --jwt-env MY_ID_TOKEN')
  throw usage(
    'Outside of GitHub Actions the identity’s audience is settled already.',
    'Leave --audience out.',
  )
}

function formOf(jwt: string, { scope = [], service = [] }: Options, seconds: number | undefined) {
  const form = new URLSearchParams({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    subject_token: jwt,
  })
  if (scope.length > 0) form.set('scope', scope.join(' '))
  for (const id of service) form.append('audience', id)
  if (seconds !== undefined) form.set('expires_in', String(seconds))
  return form
}

type Granted = { readonly access_token: string; readonly expires_in: number; readonly scope: string }

function show(output: Output, granted: Granted, askedAt: number): void {
  const { access_token: secret, expires_in, scope } = granted
  const scopes = scope.split(' ')
  const expireAt = new Date(askedAt + expires_in * 1_000).toISOString()
  output.show({
    json: { token: { type: 'federated', scopes, expireAt, token: secret } },
    quiet: [secret],
    people: () =>
      fields([
        ['scopes', scopes],
        ['expires', instant(expireAt, '-')],
        ['secret', secret],
      ]),
  })
}

/** What a trust policy has its conditions on; providers put nothing secret there. */
const telling = [
  ...['iss', 'aud', 'sub', 'repository_id', 'repository_owner_id', 'project_id', 'namespace_id'],
  ...['ref', 'ref_protected', 'environment', 'event_name', 'pipeline_source'],
]

/** Latchkey does not say why a token is not trusted; what it says about itself we may tell whoever holds it. */
function refused(error: unknown, jwt: string): unknown {
  const isNotGiven =
    error instanceof LatchkeyError &&
    ['invalid_request', 'invalid_scope', 'invalid_target'].includes(error.code)
  if (!isNotGiven) return error
  const claims = claimsOf(jwt)
  if (!claims) return new Failure('failed', error.code, error.message, 'What was handed over is no JWT.')
  const job = telling.filter((name) => name in claims).map((name) => `${name}=${claims[name]}`)
  const lead = `The job is ${job.join(', ')}. Which claim is wrong, "latchkey ci trust test" tells an admin.`
  return new Failure('forbidden', error.code, error.message, lead)
}
