// GitHub, as far as an action sees it: the service that signs a job's identity, and the runner, which runs the action's
// files as processes, with its environment variables and files, and hides in the log what it was told to.
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { parse } from 'yaml'
import { type CiIssuer, type Claims, githubClaims } from './ci-issuer.ts'
import './plain-children.ts'

export type GithubTokens = {
  /** What a job finds in its environment, if it has `id-token: write`. */
  readonly env: Record<string, string>
  /** All JWTs that were given out. */
  readonly given: string[]
  /** Statuses that it answers with first. */
  readonly failing: number[]
}

const requestToken = 'the-request-token-of-the-job'

/** Signs for any audience, as GitHub does. @param claims of the job @param now epoch milliseconds */
export async function startGithubTokens(
  t: Test,
  issuer: CiIssuer,
  now: () => number,
  claims: Claims = {},
): Promise<GithubTokens> {
  const given: string[] = []
  const failing: number[] = []
  const server = createServer(async ({ url, headers }, response) => {
    const asked = new URL(url!, 'http://github').searchParams
    const isJob = headers.authorization === `Bearer ${requestToken}` && asked.get('api-version') === '2.0'
    const status = isJob ? (failing.shift() ?? 200) : 401
    if (status !== 200) return response.writeHead(status).end('not now')
    const jwt = await issuer.sign(githubClaims(issuer.url, asked.get('audience'), now(), claims))
    given.push(jwt)
    return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ value: jwt }))
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  return {
    env: {
      ACTIONS_ID_TOKEN_REQUEST_URL: `http://127.0.0.1:${port}/idtoken/4711?api-version=2.0`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: requestToken,
    },
    given,
    failing,
  }
}

export const actionFolder = fileURLToPath(new URL('../../integrations/github-action/', import.meta.url))
export const action = parse(await readFile(join(actionFolder, 'action.yml'), 'utf8'))

export type Ran = {
  readonly code: number
  /** As people see it. */
  readonly log: string
  /** All that it was told to hide, in order. */
  readonly masked: readonly string[]
  readonly outputs: Record<string, string>
  readonly state: Record<string, string>
}

/** @param which file of the action @param variables of the job, and state of the step before */
export async function runStep(
  t: Test,
  which: 'main' | 'post',
  inputs: Record<string, string>,
  variables: Record<string, string> = {},
): Promise<Ran> {
  const folder = t.testdir({ output: '', state: '' })
  const files = { GITHUB_OUTPUT: join(folder, 'output'), GITHUB_STATE: join(folder, 'state') }
  const given = Object.entries(action.inputs as Record<string, { default?: string }>).map(
    ([name, { default: usual = '' }]) => [`INPUT_${name.toUpperCase()}`, inputs[name] ?? usual],
  )
  const env = { PATH: process.env['PATH']!, ...files, ...Object.fromEntries(given), ...variables }
  const file = join(actionFolder, action.runs[which])
  const { code, text } = await new Promise<{ code: number; text: string }>((done) => {
    execFile(process.execPath, [file], { env, timeout: 60_000 }, (error, stdout, stderr) =>
      done({ code: error ? Number(error.code ?? -1) : 0, text: stdout + stderr }),
    )
  })
  const { log, masked } = shown(text)
  const read = async (path: string) => readValues(await readFile(path, 'utf8'))
  const [outputs, state] = [await read(files.GITHUB_OUTPUT), await read(files.GITHUB_STATE)]
  await writeFile(files.GITHUB_STATE, '')
  return { code, log, masked, outputs, state }
}

/** State of main, as post finds it. */
export const stateOf = ({ state }: Ran): Record<string, string> =>
  Object.fromEntries(Object.entries(state).map(([name, value]) => [`STATE_${name}`, value]))

/** From the line on in which a value is masked, and not before. */
function shown(text: string): { log: string; masked: string[] } {
  const masked: string[] = []
  const lines = text.split('\n').flatMap((line) => {
    const secret = /^::add-mask::(.+)$/.exec(line)?.[1]
    if (secret === undefined) return [masked.reduce((rest, one) => rest.replaceAll(one, '***'), line)]
    masked.push(decodeURIComponent(secret))
    return []
  })
  return { log: lines.join('\n'), masked }
}

/** `name<<delimiter`, lines, the delimiter again. */
function readValues(text: string): Record<string, string> {
  const values: Record<string, string> = {}
  const lines = text.split('\n')
  for (let at = 0; at < lines.length - 1; at++) {
    const [, name, delimiter] = /^([^<]+)<<(.+)$/.exec(lines[at]!)!
    const end = lines.indexOf(delimiter!, at)
    values[name!] = lines.slice(at + 1, end).join('\n')
    at = end
  }
  return values
}
