// How an action talks with GitHub's runner: inputs and state by environment, outputs by files, the rest by lines on stdout.
import { randomUUID } from 'node:crypto'
import { appendFileSync } from 'node:fs'

const { env } = process

export const input = (name) => (env[`INPUT_${name.toUpperCase()}`] ?? '').trim()
export const state = (name) => env[`STATE_${name}`] ?? ''

/** From this line on the runner shows *** in its place, in the whole log of the job. */
export const mask = (secret) => command('add-mask', secret)
export const say = (text) => process.stdout.write(`${text.replace(/\s+/g, ' ')}\n`)
export const warn = (text) => command('warning', text)

export function fail(text) {
  command('error', text)
  process.exitCode = 1
}

export const output = (name, value) => write('GITHUB_OUTPUT', name, value)
/** For the post step. */
export const save = (name, value) => write('GITHUB_STATE', name, value)

/** Nobody can end a value early, and go on with another name, who cannot guess the delimiter. */
function write(file, name, value) {
  const path = env[file]
  if (!path) throw new Error(`${file} is not set: this runs as a step of GitHub Actions only.`)
  const delimiter = `end_${randomUUID()}`
  appendFileSync(path, `${name}<<${delimiter}\n${value}\n${delimiter}\n`)
}

const command = (name, text) => process.stdout.write(`::${name}::${escaped(text)}\n`)

/** One line: what others say must not become a command. */
const escaped = (text) => text.replace(/%/g, '%25').replace(/\r/g, '%0D').replace(/\n/g, '%0A')
