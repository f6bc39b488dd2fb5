// Questions to the person at the terminal, on stderr. Without one nothing waits: the caller learns which flag answers.
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { cancelled, usage } from './failure.ts'
import { shell } from './shell.ts'

/** Before what cannot be undone. @param what completes "Really …?" @throws Failure unless the answer is yes */
export async function confirm(what: string, { yes }: { readonly yes?: true }): Promise<void> {
  if (yes) return
  if (!shell.mayAsk) throw usage(`There is nobody to ask whether to ${what}.`, 'To go ahead: --yes.')
  const answer = await ask(`Really ${what}? [y/N] `, { hidden: false })
  if (!/^y(es)?$/i.test(answer.trim())) throw cancelled()
}

/** Nothing that is typed is shown. @param otherwise how to give it without a terminal */
export async function askSecret(question: string, otherwise: string): Promise<string> {
  if (!shell.mayAsk) throw usage('There is nobody to ask for the secret.', otherwise)
  const secret = (await ask(question, { hidden: true })).trim()
  if (secret === '') throw cancelled()
  return secret
}

async function ask(question: string, { hidden }: { hidden: boolean }): Promise<string> {
  process.stderr.write(question)
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const output = hidden ? nowhere : process.stderr
  const lines = createInterface({ input: process.stdin, output, terminal: true, historySize: 0 })
  // Ctrl-C and ctrl-D end the asking without an answer.
  const ended = new AbortController()
  lines.once('SIGINT', () => lines.close()).once('close', () => ended.abort())
  try {
    const [line] = await once(lines, 'line', { signal: ended.signal })
    return line
  } catch {
    throw cancelled()
  } finally {
    lines.close()
    if (hidden) process.stderr.write('\n')
  }
}
