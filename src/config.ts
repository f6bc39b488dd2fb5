// The only reader of process.env: one table of settings → one frozen Config, or every problem at once.
// docs/operate/settings.md is generated from this table; what a setting does lives in the room that takes it.
import { readFileSync } from 'node:fs'
import { parseRange, type Range } from './policy/network.ts'
import { prefixPattern } from './token/format.ts'
import { unknownAmong } from './unknown-settings.ts'

export type Setting<T> = {
  readonly name: string
  readonly fallback: string | null
  readonly secret?: true
  readonly doc: string
  /** Throws an Error whose message completes "<NAME> …". */
  readonly parse: (text: string) => T
}

const text = (value: string) => value

const number = (minimum: number, maximum: number) => (value: string) => {
  const parsed = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN
  if (parsed >= minimum && parsed <= maximum) return parsed
  throw new Error(`must be a whole number from ${minimum} to ${maximum}`)
}

const oneOf =
  <const T extends string>(...choices: readonly T[]) =>
  (value: string): T => {
    const found = choices.find((choice) => choice === value)
    if (found) return found
    throw new Error(`must be one of ${choices.join(', ')}`)
  }

const list = (value: string) => value.split(/[\s,]+/).filter((part) => part !== '')

function postgresUrl(value: string): string {
  if (!/^postgres(ql)?:\/\//.test(value) || !URL.canParse(value)) {
    throw new Error('must be a URL like postgres://user:password@host:5432/database')
  }
  const { pathname, search, hash } = new URL(value)
  // A password with one of / ? # in it ends the host early, and the rest of it would be told as the name of the database.
  if (/@/.test(pathname + search + hash))
    throw new Error(
      'must have the user, the password and other parts percent-encoded: / as %2F, ? as %3F, # as %23, @ as %40',
    )
  return value
}

function operatorSecret(value: string): string {
  if (value.trim().length < 8) throw new Error('is too short; make one with: openssl rand -base64 32')
  return value
}

function issuerUrl(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : null
  // Readers compare it as text and answers carry it in headers, so only the one normal spelling is taken.
  if (url && /^https?:$/.test(url.protocol) && url.origin + url.pathname.replace(/\/$/, '') === value)
    return value
  throw new Error(
    'must be an http(s) URL in its plain form: lower-case host, no default port, user, query, fragment or trailing slash',
  )
}

function prefix(value: string): string {
  if (!prefixPattern.test(value)) throw new Error('must be 1 to 16 of a-z and 0-9, beginning with a letter')
  return value
}

function proxies(value: string): readonly Range[] {
  return list(value).map((part, index) => {
    const range = parseRange(part)
    // CVE-2026-76835: a trust list of everyone is no trust list.
    if (!range || range.prefix === 0)
      throw new Error(`has as entry ${index + 1} what is no address or range (or is all of them)`)
    return range
  })
}

/** Plain http is taken on the loopback alone; whether it is that is looked at when it is connected to. */
function origins(value: string): readonly string[] {
  return list(value).map((part, index) => {
    const url = URL.canParse(part) ? new URL(part) : null
    if (url && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '') return url.origin
    throw new Error(`has as entry ${index + 1} what is no http(s) URL`)
  })
}

function setting<T>(
  name: string,
  fallback: string | null,
  parse: (value: string) => T,
  doc: string,
  secret?: true,
): Setting<T> {
  return { name, fallback, parse, doc, ...(secret && { secret }) }
}

/** In the order of the documentation. `null` as a default means: not set. */
export const settings = {
  databaseUrl: setting(
    'DATABASE_URL',
    null,
    postgresUrl,
    'PostgreSQL 15 or newer; its user and password are percent-encoded. Without it, an embedded store in the data directory is used.',
    true,
  ),
  dataDir: setting(
    'LATCHKEY_DATA_DIR',
    '.latchkey',
    text,
    'Where the embedded store keeps its files. Embedded only.',
  ),
  secret: setting(
    'LATCHKEY_SECRET',
    null,
    operatorSecret,
    'The secret from which the keys that protect stored digests are derived. Needed with `DATABASE_URL`; the embedded store makes its own. Losing it makes every token unusable.',
    true,
  ),
  secretPrevious: setting(
    'LATCHKEY_SECRET_PREVIOUS',
    null,
    operatorSecret,
    'The former `LATCHKEY_SECRET` while it is being replaced: tokens made under it stay valid as long as it is set.',
    true,
  ),
  issuer: setting(
    'LATCHKEY_ISSUER',
    null,
    issuerUrl,
    'Public base URL, as clients reach it; the `iss` of every answer and the base of every link. Default: `http://localhost:<port>`.',
  ),
  host: setting('LATCHKEY_HOST', '127.0.0.1', text, 'Address to listen on. The image sets `0.0.0.0`.'),
  port: setting('LATCHKEY_PORT', '8080', number(0, 65535), 'Port to listen on; 0 takes a free one.'),
  managementPort: setting(
    'LATCHKEY_MANAGEMENT_PORT',
    null,
    number(1, 65535),
    'Port for `/metrics`, `/livez` and `/readyz`, to be kept inside; the second worker takes the next one, and so on. `LATCHKEY_PORT` must not be among them. Not set: no metrics are served; the probes are on the main port in any case.',
  ),
  workers: setting(
    'LATCHKEY_WORKERS',
    '1',
    number(1, 64),
    'Processes to run on one port, each a replica of its own. More than one needs `DATABASE_URL`.',
  ),
  tokenPrefix: setting('LATCHKEY_TOKEN_PREFIX', 'lk', prefix, 'First part of every new token.'),
  tokenPrefixesPast: setting(
    'LATCHKEY_TOKEN_PREFIXES_PAST',
    '',
    (value) => list(value).map(prefix),
    'Former prefixes, separated by commas; tokens that carry them stay valid.',
  ),
  neverExpire: setting(
    'LATCHKEY_NEVER_EXPIRE',
    'allow',
    oneOf('allow', 'refuse'),
    'Whether a token may be provisioned with `"expireAt": null`: `allow` or `refuse`.',
  ),
  trustedProxies: setting(
    'LATCHKEY_TRUSTED_PROXIES',
    '',
    proxies,
    'Addresses and CIDRs of the proxies whose `X-Forwarded-*` headers count, separated by commas. Default: nobody’s.',
  ),
  internalIssuers: setting(
    'LATCHKEY_INTERNAL_ISSUERS',
    '',
    origins,
    'URLs of CI issuers (and of their keys, if those are elsewhere) inside the own network, separated by commas. Trust policies may name any issuer that is reached by https at a public address, and of others only these; those on the loopback by plain http too.',
  ),
  drainSeconds: setting(
    'LATCHKEY_DRAIN_SECONDS',
    '1',
    number(0, 60),
    'How long to go on serving after SIGTERM while `/readyz` says 503, so that load balancers notice.',
  ),
  logLevel: setting(
    'LATCHKEY_LOG_LEVEL',
    'info',
    oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    '`trace`, `debug`, `info`, `warn`, `error`, `fatal` or `silent`.',
  ),
} as const

type Parsed = { readonly [K in keyof typeof settings]: ReturnType<(typeof settings)[K]['parse']> }
type Optional = 'databaseUrl' | 'secret' | 'secretPrevious' | 'issuer' | 'managementPort'
export type Config = Readonly<Omit<Parsed, Optional>> & { readonly [K in Optional]: Parsed[K] | null }

export class ConfigError extends Error {
  /** All that is wrong, a sentence each. */
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(`Latchkey cannot start:\n- ${problems.join('\n- ')}`)
    this.problems = problems
  }
}

/**
 * Reads and checks every setting. `<NAME>_FILE` names a file that holds the value (a trailing newline is dropped).
 * @throws ConfigError listing all problems, never a value
 */
export function readConfig(env: NodeJS.ProcessEnv = process.env): Config {
  const problems: string[] = []
  const values: Record<string, unknown> = {}
  for (const [key, one] of Object.entries(settings)) {
    try {
      const raw = rawValue(one, env)
      values[key] = raw === null ? null : Object.freeze(one.parse(raw))
    } catch (error) {
      problems.push(`${one.name} ${(error as Error).message}`)
    }
  }
  if (values['databaseUrl'] !== null && values['secret'] === null) {
    problems.push('LATCHKEY_SECRET is needed with DATABASE_URL; make one with: openssl rand -base64 32')
  }
  if (Number(values['workers']) > 1 && !values['databaseUrl']) {
    problems.push('LATCHKEY_WORKERS above 1 needs DATABASE_URL: the embedded store belongs to one process')
  }
  const config = Object.freeze(values) as unknown as Config
  problems.push(...portProblems(config))
  if (problems.length > 0) throw new ConfigError([...problems, ...unknownSettings(env)])
  return config
}

/** No reason not to start: an environment is shared with others. A sentence each, never a value. */
export function unknownSettings(env: NodeJS.ProcessEnv = process.env): readonly string[] {
  const set = Object.keys(env).filter((name) => env[name] !== '')
  return unknownAmong(
    set,
    Object.values(settings).map(({ name }) => name),
  )
}

/** Of one that was refused by itself, nothing more is said. */
function portProblems({ port, managementPort = null, workers = 0 }: Partial<Config>): string[] {
  const taken = managementPorts({ managementPort, workers })
  if (taken.some((one) => one > 65535))
    return [
      'LATCHKEY_MANAGEMENT_PORT is too high for LATCHKEY_WORKERS: each takes the next port, up to 65535; set a lower one',
    ]
  if (port === undefined || !taken.includes(port)) return []
  if (workers === 1)
    return ['LATCHKEY_PORT and LATCHKEY_MANAGEMENT_PORT are the same port; set one of them to another']
  return [
    'LATCHKEY_PORT is a management port, too: those are LATCHKEY_MANAGEMENT_PORT and the ports after it, one for each of LATCHKEY_WORKERS; set it to a port outside of them, or LATCHKEY_MANAGEMENT_PORT to another',
  ]
}

/** One for each worker, in their order. */
export function managementPorts({
  managementPort,
  workers,
}: Pick<Config, 'managementPort' | 'workers'>): readonly number[] {
  if (managementPort === null) return []
  return Array.from({ length: workers }, (_, index) => managementPort + index)
}

function rawValue({ name, fallback }: Setting<unknown>, env: NodeJS.ProcessEnv): string | null {
  const file = env[`${name}_FILE`]
  const direct = env[name]
  if (file && direct) throw new Error(`is set twice: unset it or ${name}_FILE`)
  if (file) return fromFile(name, file)
  // An empty variable is how compose files and CI say "not set".
  return direct === undefined || direct === '' ? fallback : direct
}

function fromFile(name: string, file: string): string {
  const content = contentOf(name, file).replace(/\r?\n$/, '')
  // Whoever names a file means to set something: a secret that did not arrive is no default.
  if (content === '') throw new Error(`is set by ${name}_FILE to a file that is empty`)
  return content
}

function contentOf(name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new Error(
      `is set by ${name}_FILE to a file that cannot be read (${(error as NodeJS.ErrnoException).code})`,
    )
  }
}
