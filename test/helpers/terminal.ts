// The command line in a real pseudo-terminal, answered as a person would: util-linux' `script`, which Debian and most
// others ship, makes one. (node-pty would want a compiler or a download.)
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { Cli } from './cli.ts'
import { cliFile } from './cli.ts'
import './plain-children.ts'

export const hasTerminal = existsSync('/usr/bin/script') && process.platform === 'linux'

export type Said = { readonly code: number | null /** What the terminal showed. */; readonly shown: string }
export type Answer = { /** Answered once this is shown. */ readonly to: RegExp; readonly type: string }

/** @param answers are typed in this order, each when its question is there */
export function inTerminal(
  { env, folder }: Cli,
  args: readonly string[],
  answers: readonly Answer[] = [],
  more: Record<string, string> = {},
): Promise<Said> {
  const words = [process.execPath, cliFile, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`)
  const child = spawn('script', ['-qefc', words.join(' '), '/dev/null'], {
    cwd: folder,
    env: { ...env, TERM: 'xterm', SHELL: '/bin/sh', ...more },
  })
  const open = [...answers]
  let shown = ''
  let from = 0
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    shown += text
    const found = open[0]?.to.exec(shown.slice(from))
    if (!found) return
    from = shown.length
    child.stdin.write(open.shift()!.type)
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject).on('close', (code) => resolve({ code, shown }))
  })
}
