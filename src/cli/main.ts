// The command line's process: arguments → the command → exit code. Data on stdout, everything else on stderr.
import { CommanderError } from 'commander'
import { exitCodes } from './failure.ts'
import { createProgram } from './program.ts'
import { report } from './report.ts'
import { refuseSecretArguments } from './secret-input.ts'
import { shell } from './shell.ts'

const args = process.argv.slice(2)

// Who reads may have read enough (`latchkey token list | head -1`): that is an end like any other.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit()
  })

try {
  refuseSecretArguments(args)
  const program = await createProgram(args[0])
  if (args.length === 0) program.outputHelp()
  else await program.parseAsync(args, { from: 'user' })
} catch (error) {
  process.exitCode =
    error instanceof CommanderError ? afterHelp(error) : report(error, args.includes('--json') || shell.json)
}

/** Help that was asked for is a success; a group without a command was shown its help instead. */
function afterHelp({ exitCode }: CommanderError): number {
  return exitCode === 0 ? exitCodes.ok : exitCodes.usage
}
