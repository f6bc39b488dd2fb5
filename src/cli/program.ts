// The command tree. How to add a command:
// 1. A file of its own in its group's folder, named as the command: src/cli/token/list.ts is the pattern. `remote(command,
//    run)` adds --url, the credentials, --json and --quiet, and gives `run` a client; `run` ends with `output.show` of all
//    three forms: one JSON object with fixed members, the lines of --quiet, text for people (people.ts: table, fields).
// 2. Its line in this file, or in the group's commands.ts. Only the group that is asked for is loaded: Node takes a
//    millisecond for each file, and a script waits for every command.
// 3. Errors are thrown: what the API refuses goes through as it is; else `usage(…)` or a Failure (failure.ts), which says
//    what to do. Exit codes and wording are report.ts's business. Before what cannot be undone: `confirm` (ask.ts), with a
//    --yes of its own. Secrets come in by secret-input.ts only.
// 4. Heavy imports (the database, parsers) are made inside `run`: every command of the group loads the file. The platform's
//    fetch is one of them: HTTP goes through connect.ts.
// 5. A test in test/cli that runs it as a program (helpers/cli.ts), in both forms; then the help texts are written anew by
//    `UPDATE_HELP=1 npx tap test/cli/help.test.ts`. The reader's page is docs/automate/cli.md.
import { Command, type CommanderError } from 'commander'
import { version as present } from '../version.ts'
import { usage } from './failure.ts'

type Load = () => Promise<Command>

/** What stands beside `latchkey`, by the headings of its help. */
const sections: Readonly<Record<string, Readonly<Record<string, Load>>>> = {
  'Sign in:': {
    login: async () => (await import('./account/login.ts')).login(),
    logout: async () => (await import('./account/logout.ts')).logout(),
    status: async () => (await import('./account/status.ts')).status(),
  },
  'Use:': {
    token: async () => {
      const { tokenCommands } = await import('./token/commands.ts')
      return group('token', 'Create, find, change and end tokens', tokenCommands())
    },
    scope: async () => {
      const { scopeCommands } = await import('./scope/commands.ts')
      return group('scope', 'Which scopes there are, and which a script needs', scopeCommands())
    },
    catalog: async () => {
      const { catalogCommands } = await import('./catalog/commands.ts')
      return group('catalog', 'What can be called; publish what a service offers', catalogCommands())
    },
    api: async () => (await import('./api.ts')).api(),
    mcp: async () => (await import('./mcp.ts')).mcp(),
  },
  'Automate:': {
    ci: async () => {
      const [{ exchange }, { revoke }, { trustCommands }] = await Promise.all([
        import('./ci/exchange.ts'),
        import('./ci/revoke.ts'),
        import('./ci/trust/commands.ts'),
      ])
      const trust = group('trust', 'Which CI jobs are given which tokens', trustCommands())
      return group('ci', 'Tokens for CI jobs, without a stored secret', [exchange(), revoke(), trust])
    },
  },
  'Administer:': {
    apply: async () => (await import('./apply/apply.ts')).apply(),
    admin: async () => {
      const [{ tokens }, { audit }, { serviceCommands }, { subjectCommands }] = await Promise.all([
        import('./admin/tokens.ts'),
        import('./admin/audit.ts'),
        import('./admin/service/commands.ts'),
        import('./admin/subject/commands.ts'),
      ])
      return group('admin', 'Everybody’s tokens, services, subjects, and who did what', [
        tokens(),
        audit(),
        group('service', 'Product services and their client secrets', serviceCommands()),
        group('subject', 'What the tokens of a subject may have', subjectCommands()),
      ])
    },
  },
  'Operate:': {
    serve: async () => (await import('./operate/serve.ts')).serve(),
    migrate: async () => (await import('./operate/migrate.ts')).migrate(),
    bootstrap: async () => (await import('./operate/bootstrap.ts')).bootstrap(),
    doctor: async () => (await import('./doctor/doctor.ts')).doctor(),
  },
  'More:': {
    completion: async () => (await import('./completion/completion.ts')).completion(),
    version: async () => (await import('./version.ts')).version(),
  },
}

/** @param asked the first argument: what needs no more than that command, gets no more; else all are there */
export async function createProgram(asked?: string): Promise<Command> {
  const program = new Command('latchkey')
    .description('API tokens: who is this bearer, and may it do this, here, now?')
    .version(present, '--version')
  const isOne = Object.values(sections).some((loads) => asked !== undefined && Object.hasOwn(loads, asked))
  for (const [heading, loads] of Object.entries(sections)) {
    const wanted = Object.entries(loads).filter(([name]) => !isOne || name === asked)
    for (const command of await Promise.all(wanted.map(([, load]) => load())))
      program.addCommand(command.helpGroup(heading))
  }
  const help = new Command('help').argument('[command]').description('Show help for a command')
  return settled(program.addHelpCommand(help.helpGroup('More:')).addHelpText('after', about))
}

const about = `
Environment: LATCHKEY_URL, LATCHKEY_TOKEN or LATCHKEY_TOKEN_FILE, LATCHKEY_OUTPUT=json, LATCHKEY_NO_INPUT=1, NO_COLOR.
Exit codes: 0 done, 1 failed, 2 usage or cancelled, 3 token not active (verify) or not matched (ci trust test),
4 sign-in needed, 5 forbidden, 6 not found, 7 conflict, 8 try again.`

function group(name: string, description: string, commands: readonly Command[]): Command {
  const parent = new Command(name).description(description).helpCommand(false)
  for (const command of commands) parent.addCommand(command)
  return parent
}

/** Commander is to throw what is wrong rather than print it and end the process. */
function settled(command: Command): Command {
  command
    .exitOverride((error) => {
      throw error.exitCode === 0 || error.code === 'commander.help' ? error : misused(error, command)
    })
    .configureOutput({ outputError: () => {} })
  command.commands.forEach(settled)
  return command
}

function misused({ message }: CommanderError, command: Command): Error {
  const path: string[] = []
  for (let one: Command | null = command; one; one = one.parent) path.unshift(one.name())
  const said = message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ')
  return usage(
    `${said[0]!.toUpperCase()}${said.slice(1)}.`.replace(/([.?)])\.$/, '$1'),
    `See: ${path.join(' ')} --help`,
  )
}
