// The command line: one file per command. Data on stdout, everything else on stderr.
import { ConfigError } from '../config.ts'
import { bootstrap } from './bootstrap.ts'
import { migrateCommand } from './migrate.ts'

const commands: Record<string, (args: readonly string[]) => Promise<void>> = {
  serve: async () => void (await import('../main.ts')),
  migrate: migrateCommand,
  bootstrap,
}

const help = `Usage: latchkey <command>

  serve              run the service (the same as npm start)
  migrate            bring the database to the schema of this version
  bootstrap          print the first admin token, alone, on stdout; once
    --force          also when there are tokens already

Settings are environment variables: docs/operate/settings.md
`

const [name = 'help', ...args] = process.argv.slice(2)

if (name === 'help' || name === '--help') process.stdout.write(help)
else if (!Object.hasOwn(commands, name)) fail(`There is no command "${name}".\n\n${help}`, 2)
else
  await commands[name]!(args).catch((error: Error) =>
    fail(`${error.message}\n`, error instanceof ConfigError ? 2 : 1),
  )

function fail(text: string, code: number): void {
  process.stderr.write(text)
  process.exitCode = code
}
