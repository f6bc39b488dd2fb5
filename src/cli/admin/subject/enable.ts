// `latchkey admin subject enable`
import { Command } from 'commander'
import { remote } from '../../remote.ts'
import { changeSubject } from './view.ts'

export const enable = () =>
  remote(
    new Command('enable').description('Let the tokens of a disabled subject go on').argument('<subject>'),
    (remote, _options, id) => changeSubject(remote, id!, { disabled: false }),
  )
