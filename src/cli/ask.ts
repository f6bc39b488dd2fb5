// Questions to the person at the terminal, on stderr. Without one nothing waits: the caller learns which flag answers.
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { Option } from 'commander'
import { cancelled, usage } from './failure.ts'
import { plain } from './people.ts'
import { shell } from './shell.ts'

export const yesOption = () =>
  new Option('--yes', 'go ahead without asking; needed where there is no terminal')

/**
 * Before what cannot be undone. @param verb for people who cannot be asked, @param question made only for those who can
 * @throws Failure unless the answer is yes
 */
export async function confirm(
  verb: string,
  question: () => Promise<string>,
  { yes }: { readonly yes?: true },
): Promise<void> {
  if (yes) return
  if (!shell.mayAsk) throw usage(`There is nobody to ask whether to ${verb}.`, 'To go ahead: --yes.')
  const answer = await ask(`${plain(await question())} [y/N] `, { hidden: false })
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
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const output = hidden ? nowhere : process.stderr
  const lines = createInterface({ input: process.stdin, output, terminal: true, historySize: 0 })
  // Once the terminal is ours: ctrl-C is a key then, and nothing that is typed is echoed by it.
  process.stderr.write(question)
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
