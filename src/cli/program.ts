// The command tree. How to add a command:
// 1. A file of its own in its group's folder, named as the command: src/cli/token/list.ts is the pattern. `remote(command,
//    run)` adds --url, the credentials, --json and --quiet, and gives `run` a client; `run` ends with `output.show` of all
//    three forms: one JSON object with fixed members, the lines of --quiet, text for people (people.ts: table, fields).
// 2. Its line in this file, or in the group's commands.ts.
// 3. Errors are thrown: what the API refuses goes through as it is; else `usage(…)` or a Failure (failure.ts), which says
//    what to do. Exit codes and wording are report.ts's business. Before what cannot be undone: `confirm` (ask.ts), with a
//    --yes of its own. Secrets come in by secret-input.ts only.
// 4. Heavy imports (the database, parsers) are made inside `run`: every command loads this file.
// 5. A test in test/cli that runs it as a program (helpers/cli.ts), in both forms; then the help texts are written anew by
//    `UPDATE_HELP=1 npx tap test/cli/help.test.ts`. The reader's page is docs/automate/cli.md.
import { Command, type CommanderError } from 'commander'
import { version as present } from '../version.ts'
import { login } from './account/login.ts'
import { logout } from './account/logout.ts'
import { status } from './account/status.ts'
import { audit } from './admin/audit.ts'
import { serviceCommands } from './admin/service/commands.ts'
import { subjectCommands } from './admin/subject/commands.ts'
import { tokens } from './admin/tokens.ts'
import { api } from './api.ts'
import { apply } from './apply/apply.ts'
import { catalogCommands } from './catalog/commands.ts'
import { exchange } from './ci/exchange.ts'
import { revoke } from './ci/revoke.ts'
import { trustCommands } from './ci/trust/commands.ts'
import { completion } from './completion/completion.ts'
import { doctor } from './doctor/doctor.ts'
import { usage } from './failure.ts'
import { mcp } from './mcp.ts'
import { bootstrap } from './operate/bootstrap.ts'
import { migrate } from './operate/migrate.ts'
import { serve } from './operate/serve.ts'
import { scopeCommands } from './scope/commands.ts'
import { tokenCommands } from './token/commands.ts'
import { version } from './version.ts'

export function createProgram(): Command {
  const program = new Command('latchkey')
    .description('API tokens: who is this bearer, and may it do this, here, now?')
    .version(present, '--version')
  add(program, 'Sign in:', [login(), logout(), status()])
  add(program, 'Use:', [
    group('token', 'Create, find, change and end tokens', tokenCommands()),
    group('scope', 'Which scopes there are, and which a script needs', scopeCommands()),
    group('catalog', 'What can be called; publish what a service offers', catalogCommands()),
    api(),
    mcp(),
  ])
  add(program, 'Automate:', [
    group('ci', 'Tokens for CI jobs, without a stored secret', [
      exchange(),
      revoke(),
      group('trust', 'Which CI jobs are given which tokens', trustCommands()),
    ]),
  ])
  add(program, 'Administer:', [
    apply(),
    group('admin', 'Everybody’s tokens, services, subjects, and who did what', [
      tokens(),
      audit(),
      group('service', 'Product services and their client secrets', serviceCommands()),
      group('subject', 'What the tokens of a subject may have', subjectCommands()),
    ]),
  ])
  add(program, 'Operate:', [serve(), migrate(), bootstrap(), doctor()])
  add(program, 'More:', [completion(), version()])
  const help = new Command('help').argument('[command]').description('Show help for a command')
  return settled(program.addHelpCommand(help.helpGroup('More:')).addHelpText('after', about))
}

const about = `
Environment: LATCHKEY_URL, LATCHKEY_TOKEN or LATCHKEY_TOKEN_FILE, LATCHKEY_OUTPUT=json, LATCHKEY_NO_INPUT=1, NO_COLOR.
Exit codes: 0 done, 1 failed, 2 usage or cancelled, 3 token not active (verify) or not matched (ci trust test),
4 sign-in needed, 5 forbidden, 6 not found, 7 conflict, 8 try again.`

function add(program: Command, heading: string, commands: readonly Command[]): void {
  for (const command of commands) program.addCommand(command.helpGroup(heading))
}

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
