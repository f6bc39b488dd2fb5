// `latchkey completion`: what the shells themselves make of the scripts, when they are installed.
import { execFile, spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { placesOf } from '../../src/cli/completion/tree.ts'
import { createProgram } from '../../src/cli/program.ts'
import { createCli } from '../helpers/cli.ts'

const run = promisify(execFile)
const has = (shell: string) => spawnSync(shell, ['-c', 'exit 0']).status === 0

/** Words so far, the last of them unfinished → what must be among the offers, and what must not. */
const cases: [string[], string[], string[]][] = [
  [['to'], ['token'], ['login']],
  [['token', 're'], ['revoke'], ['create', 'login']],
  [['token', 'list', '--st'], ['--status'], ['--type', '--yes']],
  [['token', 'list', '--status', 'dis'], ['disabled'], ['--status', 'active']],
  [['token', 'provision', '--na'], ['--name'], ['--status']],
  [['completion', 'z'], ['zsh'], ['bash']],
]

/** How each shell is made to say what it would offer, without a terminal. */
const ways: Record<string, (words: string, count: number, file: string) => string[]> = {
  bash: (words, count, file) => [
    '-c',
    `source '${file}'
     COMP_WORDS=(latchkey ${words}); COMP_CWORD=${count}; _latchkey; printf '%s\\n' "\${COMPREPLY[@]}"`,
  ],
  fish: (words, _count, file) => ['--no-config', '-c', `source '${file}'; complete -C 'latchkey ${words}'`],
  // What would be offered is printed instead; matching what was typed is zsh's own business.
  zsh: (words, count, file) => [
    '-f',
    '-c',
    `compdef() { :; }; _files() { :; }
     _describe() { printf '%s\\n' "\${found[@]%%:*}" }
     compadd() { shift; printf '%s\\n' "$@" }
     source '${file}'
     words=(latchkey ${words}); CURRENT=${count + 1}; _latchkey`,
  ],
}

t.test('every command and option of the tree is offered where it belongs', async (t) => {
  const places = placesOf(await createProgram())
  const list = places.find(({ path }) => path === 'latchkey token list')!
  t.ok(list.words.some(({ word }) => word === '--status'))
  t.same(list.choices.find(({ option }) => option === '--status')!.values.length, 5)
  t.ok(list.files.includes('--token-file'))
})

for (const [shell, argsFor] of Object.entries(ways)) {
  t.test(`${shell} offers what may come next`, { skip: !has(shell) && `no ${shell} here` }, async (t) => {
    const cli = await createCli(t)
    const { code, stdout } = await cli.run(['completion', shell])
    t.equal(code, 0)
    const file = join(cli.folder, 'completion')
    await writeFile(file, stdout)
    for (const [words, wanted, unwanted] of cases) {
      const args = argsFor(words.join(' '), words.length, file)
      const lines = (await run(shell, args, { env: cli.env })).stdout.split('\n')
      // fish says after a tab what a word is about.
      const offered = lines.map((line) => line.split('\t')[0]!).filter((one) => one.startsWith(words.at(-1)!))
      for (const one of wanted) t.ok(offered.includes(one), `${words.join(' ')} → ${one}`, { lines })
      for (const one of unwanted) t.notOk(offered.includes(one), `${words.join(' ')} ↛ ${one}`)
    }
  })
}

t.test('another shell is refused with those there are', async (t) => {
  const cli = await createCli(t)
  t.match(await cli.run(['completion', 'tcsh']), { code: 2, stderr: /bash, zsh, fish/ })
})
