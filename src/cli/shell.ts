// What the shell says: environment and terminals. The only reader of both for commands that use Latchkey; those that are
// Latchkey (serve, migrate, bootstrap) read their settings through config.ts.
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'

const { env, stdin, stdout, stderr } = process

/** An empty variable counts as not set, as in config.ts. */
const text = (name: string) => env[name] || undefined
const isOn = (name: string) => !['', '0', 'false', undefined].includes(env[name])

export const shell = {
  url: text('LATCHKEY_URL'),
  token: text('LATCHKEY_TOKEN'),
  tokenFile: text('LATCHKEY_TOKEN_FILE'),
  json: env['LATCHKEY_OUTPUT'] === 'json',
  /** There is somebody who can be asked, and wants to be. */
  mayAsk: isTerminal(stdin) && isTerminal(stderr) && !isOn('CI') && !isOn('LATCHKEY_NO_INPUT'),
  colour: isTerminal(stdout) && text('NO_COLOR') === undefined,
  configFolder: join(configHome(), 'latchkey'),
  githubActions: isOn('GITHUB_ACTIONS'),
  /** Where a job of GitHub Actions asks who it is, and by what: set if it has `permissions: { id-token: write }`. */
  identityUrl: text('ACTIONS_ID_TOKEN_REQUEST_URL'),
  identityBearer: text('ACTIONS_ID_TOKEN_REQUEST_TOKEN'),
  /** One that the user names. */
  variable: text,
}

function isTerminal(stream: { isTTY?: boolean }): boolean {
  return stream.isTTY === true
}

/** XDG Base Directory: a relative path is to be ignored. */
function configHome(): string {
  const given = text('XDG_CONFIG_HOME')
  return given !== undefined && isAbsolute(given) ? given : join(homedir(), '.config')
}
