// `latchkey completion`: a script that teaches a shell the commands and options there are.
import { Argument, Command } from 'commander'
import { type Shell, scripts } from './scripts.ts'
import { placesOf } from './tree.ts'

export function completion(): Command {
  const command = new Command('completion')
    .description('Print a script that completes commands and options')
    .addArgument(new Argument('<shell>').choices(Object.keys(scripts)))
    .addHelpText('after', '\nFor example, in ~/.bashrc: source <(latchkey completion bash)')
  return command.action(async (shell: Shell) => {
    // Which was loaded for this command alone; here it takes all.
    const { createProgram } = await import('../program.ts')
    process.stdout.write(scripts[shell](placesOf(await createProgram())))
  })
}
