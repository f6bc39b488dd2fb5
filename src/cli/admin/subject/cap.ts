// `latchkey admin subject cap`: what the tokens of somebody may do at most, whatever they were given.
import { Command, Option } from 'commander'
import { confirm, yesOption } from '../../ask.ts'
import { usage } from '../../failure.ts'
import { list } from '../../options.ts'
import { remote } from '../../remote.ts'
import { changeSubject } from './view.ts'

type Options = { readonly scope?: readonly string[]; readonly none?: true; readonly yes?: true }

export const cap = () =>
  remote<Options>(
    new Command('cap')
      .description('Cap what the tokens of a subject may do, from now on')
      .argument('<subject>')
      .option('--scope <scope>', 'what they may do at most; several times, or with commas', list)
      .addOption(new Option('--none', 'take the cap away').conflicts('scope'))
      .addOption(yesOption()),
    async (remote, options, id) => {
      const { scope, none } = options
      if (scope === undefined && !none) throw usage('What is the cap to be?', 'Say --scope, or --none.')
      const question = async () => `Cap all tokens of ${id} at ${scope!.join(' ') || 'nothing at all'}?`
      if (scope !== undefined) await confirm('cap it', question, options)
      await changeSubject(remote, id!, { scopeCap: scope ?? null })
    },
  )
