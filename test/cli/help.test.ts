// What the help texts say is committed, one file per group, so that a change of the command line is seen in review.
// UPDATE_HELP=1 writes them anew.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import t from 'tap'
import { createProgram } from '../../src/cli/program.ts'
import { createCli } from '../helpers/cli.ts'

const folder = fileURLToPath(new URL('help', import.meta.url))
const program = await createProgram()

/** As the terminal shows it, with what stands after the options. */
function helpOf(command: Command): string {
  const parts: string[] = []
  command.configureOutput({ writeOut: (part) => parts.push(part), getOutHelpWidth: () => 100 })
  command.outputHelp()
  return parts.join('')
}

/** The command's own, then those of all under it. */
function helpUnder(command: Command, path: string): string {
  const below = command.commands.map((one) => helpUnder(one, `${path} ${one.name()}`))
  return [`$ ${path} --help\n${helpOf(command)}`, ...below].join('\n')
}

const texts: Record<string, string> = Object.fromEntries([
  ['latchkey', `$ latchkey --help\n${helpOf(program)}`],
  ...program.commands.map((one) => [one.name(), helpUnder(one, `latchkey ${one.name()}`)]),
])

t.test('the help of every command is as committed', async (t) => {
  if (process.env['UPDATE_HELP']) {
    await mkdir(folder, { recursive: true })
    for (const [name, text] of Object.entries(texts)) await writeFile(join(folder, `${name}.txt`), text)
  }
  for (const [name, text] of Object.entries(texts)) {
    const committed = await readFile(join(folder, `${name}.txt`), 'utf8').catch(() => '')
    t.equal(text, committed, `${name}; if it is meant: UPDATE_HELP=1 npx tap test/cli/help.test.ts`)
  }
  const names = Object.keys(texts).map((name) => `${name}.txt`)
  t.same((await readdir(folder)).sort(), names.sort(), 'and of no command that is gone')
})

t.test(
  'help is on stdout with exit 0 when asked for, on stderr with exit 2 when a command is missing',
  async (t) => {
    const cli = await createCli(t)
    for (const args of [[], ['--help'], ['help']]) {
      const { code, stdout, stderr } = await cli.run(args)
      t.match({ code, stderr }, { code: 0, stderr: '' })
      t.match(stdout, /^Usage: latchkey/)
    }
    const { code, stdout, stderr } = await cli.run(['token'])
    t.match({ code, stdout }, { code: 2, stdout: '' })
    t.match(stderr, /^Usage: latchkey token/)
  },
)

t.test('every command says in a line what it is for, and takes --json or is Latchkey itself', async (t) => {
  const plain = ['serve', 'migrate', 'bootstrap', 'mcp', 'completion']
  const each = (command: Command): Command[] => [command, ...command.commands.flatMap(each)]
  for (const command of each(program).slice(1)) {
    t.ok(command.description().length > 10, command.name())
    const takesJson = command.options.some((option) => option.long === '--json')
    if (command.commands.length === 0 && !plain.includes(command.name())) t.ok(takesJson, command.name())
  }
})
