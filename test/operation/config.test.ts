// Settings: every one read, checked and refused as the table in src/config.ts says, all problems at once, no value told.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { type Config, ConfigError, readConfig, settings, unknownSettings } from '../../src/config.ts'

type Key = keyof Config
type Case = { valid: [text: string, value: unknown][]; invalid: string[] }

const secret = 'canary-Xk29-operator-secret'
const range = (base: number, prefix: number) => ({ base: [base], prefix })

// Invalid values carry the mark CANARY where the form leaves room, so that a message that repeats one is found out.
const cases: Record<Key, Case> = {
  databaseUrl: {
    valid: [
      ['postgres://u:p@h:5432/d', 'postgres://u:p@h:5432/d'],
      ['postgresql://h/d?sslmode=require', 'postgresql://h/d?sslmode=require'],
    ],
    invalid: [
      'mysql://u:CANARY@h/d',
      'u:CANARY@h/d',
      'postgres://u:CANARY@:99999/d',
      ' postgres://CANARY/d',
      'postgres://u:12/CANARY@h/d',
      'postgres://u:?CANARY@h/d',
      'postgres://u:1#CANARY@h/d',
    ],
  },
  dataDir: { valid: [['/var/lib/latchkey', '/var/lib/latchkey']], invalid: [] },
  secret: { valid: [[secret, secret]], invalid: ['CANARY7', '          ', 'x'] },
  secretPrevious: { valid: [[secret, secret]], invalid: ['CANARY7', '          '] },
  issuer: {
    valid: [
      ['https://tokens.example', 'https://tokens.example'],
      ['http://localhost:8080/base/path', 'http://localhost:8080/base/path'],
    ],
    invalid: [
      'https://CANARY.example/',
      'https://canary.example/a/',
      'https://canary.example?CANARY',
      'https://canary.example#CANARY',
      'https://CANARY@canary.example',
      'https://:CANARY@canary.example',
      'ftp://canary.example',
      'canary.example',
      'https://CANARY.example',
      'https://canary.example:443',
      ' https://canary.example',
      'https://canary.example/a\nb',
      'https://canary.example/a"CANARY',
      'https://canary.example/a/../CANARY',
      'https://',
    ],
  },
  host: { valid: [['::', '::']], invalid: [] },
  port: {
    valid: [
      ['0', 0],
      ['65535', 65535],
    ],
    invalid: ['65536', '-1', '1e3', '80.5', 'CANARY', '0x50', ' 80', '9999999999', 'tcp://10.0.0.1:8080'],
  },
  managementPort: { valid: [['9090', 9090]], invalid: ['65536', 'CANARY'] },
  workers: {
    valid: [
      ['1', 1],
      ['64', 64],
    ],
    invalid: ['0', '65', '-1', 'CANARY'],
  },
  tokenPrefix: {
    valid: [
      ['gpx', 'gpx'],
      ['a123456789012345', 'a123456789012345'],
    ],
    invalid: ['Canary', '1canary', 'a_b', 'a.b', 'a12345678901234567', 'a\nb', 'canary(CANARY'],
  },
  tokenPrefixesPast: {
    valid: [
      ['old, older', ['old', 'older']],
      ['one', ['one']],
    ],
    invalid: ['old,CANARY', 'a_b'],
  },
  neverExpire: { valid: [['refuse', 'refuse']], invalid: ['CANARY', 'Refuse', 'toString'] },
  internalIssuers: {
    valid: [
      [
        'http://127.0.0.1:8090/x, https://gitlab.internal/',
        ['http://127.0.0.1:8090', 'https://gitlab.internal'],
      ],
    ],
    invalid: [
      'ftp://canary.example',
      'CANARY',
      'https://u:CANARY@canary.example',
      'https://a.example,CANARY',
    ],
  },
  trustedProxies: {
    valid: [
      ['10.0.0.0/8', [range(0x0a000000, 8)]],
      ['10.1.2.3/8, 192.0.2.1', [range(0x0a000000, 8), range(0xc0000201, 32)]],
      ['::ffff:10.0.0.0/104', [range(0x0a000000, 8)]],
    ],
    invalid: [
      '0.0.0.0/0',
      '::/0',
      '10.0.0.0/8,CANARY',
      '10.0.0.0/33',
      '010.0.0.1',
      '10.0.0.1:80',
      '[::1]',
      '*',
    ],
  },
  drainSeconds: {
    valid: [
      ['0', 0],
      ['60', 60],
    ],
    invalid: ['61', '-1', 'CANARY', '1s'],
  },
  logLevel: { valid: [['silent', 'silent']], invalid: ['CANARY', 'INFO', 'verbose'] },
}

const keys = Object.keys(settings) as Key[]
const name = (key: Key) => settings[key].name
const folder = mkdtempSync(join(tmpdir(), 'lk-config-'))
t.teardown(() => rmSync(folder, { recursive: true }))
let files = 0
function file(content: string): string {
  const path = join(folder, String(++files))
  writeFileSync(path, content)
  return path
}

/** What a setting needs beside itself. */
const needs: Partial<Record<Key, NodeJS.ProcessEnv>> = {
  databaseUrl: { LATCHKEY_SECRET: secret },
  workers: { LATCHKEY_SECRET: secret, DATABASE_URL: 'postgres://h/d' },
}
const beside = (key: Key): NodeJS.ProcessEnv => needs[key] ?? {}
const read = (key: Key, env: NodeJS.ProcessEnv) => readConfig({ ...beside(key), ...env })[key]

function problemsOf(env: NodeJS.ProcessEnv): string {
  try {
    readConfig(env)
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
  return ''
}

t.test('every setting has cases here', async (t) => {
  t.same(Object.keys(cases).sort(), [...keys].sort())
})

t.test(
  'without any environment Latchkey listens on this machine only, embedded, trusting no proxy',
  async (t) => {
    t.same(readConfig({}), {
      databaseUrl: null,
      dataDir: '.latchkey',
      secret: null,
      secretPrevious: null,
      issuer: null,
      host: '127.0.0.1',
      port: 8080,
      managementPort: null,
      workers: 1,
      tokenPrefix: 'lk',
      tokenPrefixesPast: [],
      neverExpire: 'allow',
      trustedProxies: [],
      internalIssuers: [],
      drainSeconds: 1,
      logLevel: 'info',
    })
  },
)

t.test('a valid value is taken from the variable, or from the file that <NAME>_FILE names', async (t) => {
  for (const key of keys) {
    for (const [text, value] of cases[key].valid) {
      t.same(read(key, { [name(key)]: text }), value, `${name(key)}=${text}`)
      for (const end of ['', '\n', '\r\n']) {
        t.same(read(key, { [`${name(key)}_FILE`]: file(text + end) }), value, `${name(key)}_FILE: ${text}`)
      }
    }
  }
})

t.test(
  'an invalid value stops the start with a message that names the setting and not the value',
  async (t) => {
    let tried = 0
    for (const key of keys) {
      for (const text of cases[key].invalid) {
        for (const env of [{ [name(key)]: text }, { [`${name(key)}_FILE`]: file(text) }]) {
          const message = problemsOf({ ...beside(key), ...env })
          tried += 1
          t.match(message, `\n- ${name(key)} `, `${name(key)}=${JSON.stringify(text)}`)
          t.notMatch(message, /canary/i, 'the value is not told')
        }
      }
    }
    t.comment(`${tried} invalid values tried`)
  },
)

t.test('an empty variable is a variable that is not set', async (t) => {
  const defaults = readConfig({})
  for (const key of keys) {
    t.same(read(key, { [name(key)]: '', [`${name(key)}_FILE`]: '' }), key === 'secret' ? null : defaults[key])
    const [text, value] = cases[key].valid[0]!
    t.same(read(key, { [name(key)]: '', [`${name(key)}_FILE`]: file(text) }), value)
  }
})

// Which of the two would count is a guess, and a guess about a secret.
t.test('a setting that is set twice is refused', async (t) => {
  for (const key of keys) {
    const [text] = cases[key].valid[0]!
    const message = problemsOf({ ...beside(key), [name(key)]: text, [`${name(key)}_FILE`]: file(text) })
    t.match(message, `- ${name(key)} is set twice: unset it or ${name(key)}_FILE`)
  }
})

// A secret that was not mounted must not turn into a default.
t.test('a file that is missing, empty or a directory stops the start', async (t) => {
  for (const key of keys) {
    const setting = `${name(key)}_FILE`
    const tell = (path: string) => problemsOf({ ...beside(key), [setting]: path })
    t.match(
      tell(join(folder, 'none')),
      `- ${name(key)} is set by ${setting} to a file that cannot be read (ENOENT)`,
    )
    t.match(tell(folder), '(EISDIR)')
    for (const nothing of ['', '\n', '\r\n']) t.match(tell(file(nothing)), 'a file that is empty')
  }
})

t.test('all problems are reported at once', async (t) => {
  const broken = keys.filter((key) => cases[key].invalid.length > 0)
  const message = problemsOf(Object.fromEntries(broken.map((key) => [name(key), cases[key].invalid[0]!])))
  t.equal(message.split('\n- ').length - 1, broken.length)
  for (const key of broken) t.match(message, `\n- ${name(key)} `)
})

t.test('DATABASE_URL without LATCHKEY_SECRET is refused, also when the URL is wrong as well', async (t) => {
  t.match(problemsOf({ DATABASE_URL: 'postgres://h/d' }), 'LATCHKEY_SECRET is needed with DATABASE_URL')
  t.match(problemsOf({ DATABASE_URL: 'mysql://h/d' }), /DATABASE_URL must be.*\n- LATCHKEY_SECRET is needed/)
  t.equal(problemsOf({ DATABASE_URL: 'postgres://h/d', LATCHKEY_SECRET_FILE: file(secret) }), '')
})

t.test('more than one worker on the embedded store is refused', async (t) => {
  t.match(problemsOf({ LATCHKEY_WORKERS: '2' }), 'LATCHKEY_WORKERS above 1 needs DATABASE_URL')
})

// Two servers that want one port: the second to come would end the process, or have all workers begin again for ever.
t.test(
  'a main port that is a management port, too, is refused; so are more of these than there are',
  async (t) => {
    const database = { DATABASE_URL: 'postgres://h/d', LATCHKEY_SECRET: secret }
    const ports = (port: string, managementPort: string, workers: string) =>
      problemsOf({
        ...database,
        LATCHKEY_PORT: port,
        LATCHKEY_MANAGEMENT_PORT: managementPort,
        LATCHKEY_WORKERS: workers,
      })
    const same = 'LATCHKEY_PORT and LATCHKEY_MANAGEMENT_PORT are the same port; set one of them to another'
    t.match(ports('9090', '9090', '1'), same)
    t.match(problemsOf({ LATCHKEY_MANAGEMENT_PORT: '8080' }), same, 'also when one of them is the default')
    for (const port of ['9090', '9091', '9092', '9093'])
      t.match(
        ports(port, '9090', '4'),
        /LATCHKEY_PORT is .* LATCHKEY_MANAGEMENT_PORT .* LATCHKEY_WORKERS; set/,
        port,
      )
    for (const port of ['0', '9089', '9094']) t.equal(ports(port, '9090', '4'), '', port)
    t.match(ports('9090', '65534', '3'), 'LATCHKEY_MANAGEMENT_PORT is too high for LATCHKEY_WORKERS')
    t.equal(ports('9090', '65533', '3'), '')
    t.notMatch(ports('9090', '9090', 'many'), 'LATCHKEY_PORT ', 'how many there are is not known')
  },
)

t.test('a config cannot be changed once it is read', async (t) => {
  const config = readConfig({ LATCHKEY_TRUSTED_PROXIES: '10.0.0.0/8', LATCHKEY_TOKEN_PREFIXES_PAST: 'old' })
  t.throws(() => Object.assign(config, { port: 1 }), TypeError)
  t.throws(() => (config.trustedProxies as unknown[]).push({}), TypeError)
  t.throws(() => (config.tokenPrefixesPast as string[]).push('x'), TypeError)
})

t.test('variables that are no settings do no harm', async (t) => {
  t.same(readConfig({ __proto__: 'x', LATCHKEY_: 'x', PATH: '/bin' } as NodeJS.ProcessEnv), readConfig({}))
})

// Who mistypes a setting has not set it, and may believe for long that it is.
t.test(
  'what looks like a setting and is none is named with the nearest one, and never its value',
  async (t) => {
    const meant = {
      LATCHKEY_WORKER: 'LATCHKEY_WORKERS',
      LATCHKEY_TRUSTED_PROXYS: 'LATCHKEY_TRUSTED_PROXIES',
      LATCHKEY_SECRETS_FILE: 'LATCHKEY_SECRET_FILE',
      LATCHKEY_DATABASE_URL: 'DATABASE_URL',
      Latchkey_Port: 'LATCHKEY_PORT',
    }
    for (const [name, near] of Object.entries(meant))
      t.same(unknownSettings({ [name]: secret }), [
        `${name} is no setting and is ignored; the nearest one is ${near}`,
      ])
    t.same(unknownSettings({ LATCHKEY_QQQ: secret }), ['LATCHKEY_QQQ is no setting and is ignored'])
    t.match(
      problemsOf({ DATABASE_URL: 'postgres://h/d', LATCHKEY_SECRT: secret }),
      /- LATCHKEY_SECRET is needed .*\n- LATCHKEY_SECRT is no setting and is ignored; the nearest one is LATCHKEY_SECRET$/,
    )
  },
)

t.test('what is a setting, is empty, or is of others, is not complained about', async (t) => {
  const folder = new URL('../../src/cli/', import.meta.url)
  const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((one) =>
    one.endsWith('.ts'),
  )
  const code = sources.map((one) => readFileSync(new URL(one, folder), 'utf8')).join()
  const commandLine = [...new Set(code.match(/\bLATCHKEY_[A-Z_]+/g))]
  t.ok(commandLine.length > 5)
  const names = [
    ...keys.flatMap((key) => [name(key), `${name(key)}_FILE`]),
    ...commandLine,
    'LATCHKEY_SERVICE_HOST',
    'LATCHKEY_SERVICE_PORT_HTTP',
    'LATCHKEY_PORT_8080_TCP',
    'LATCHKEY_PORT_8080_TCP_ADDR',
    'LATCHKEY_METRICS_SERVICE_PORT',
    'PATH',
  ]
  t.same(unknownSettings(Object.fromEntries(names.map((one) => [one, 'x']))), [])
  t.same(unknownSettings({ LATCHKEY_WORKER: '' }), [])
})
