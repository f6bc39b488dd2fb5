// `latchkey admin subject show`
import { Command } from 'commander'
import { remote } from '../../remote.ts'
import { pathOf, type Subject, showSubject } from './view.ts'

export const show = () =>
  remote(
    new Command('show').description('Show what the tokens of a subject may have').argument('<subject>'),
    async ({ client, output }, _options, id) => {
      const { body } = await client.call<Subject>('GET', pathOf(id!))
      showSubject(output, body)
    },
  )
