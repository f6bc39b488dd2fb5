// The commands of `latchkey admin service`, in the order of their help.
import type { Command } from 'commander'
import { create } from './create.ts'
import { list } from './list.ts'
import { remove } from './remove.ts'
import { removeSecret } from './remove-secret.ts'
import { rotateSecret } from './rotate-secret.ts'
import { show } from './show.ts'
import { update } from './update.ts'

export const serviceCommands = (): Command[] => [
  create(),
  list(),
  show(),
  update(),
  rotateSecret(),
  removeSecret(),
  remove(),
]
