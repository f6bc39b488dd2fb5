// The commands of `latchkey token`, in the order of their help.
import type { Command } from 'commander'
import { create } from './create.ts'
import { disable } from './disable.ts'
import { enable } from './enable.ts'
import { ensure } from './ensure.ts'
import { get } from './get.ts'
import { list } from './list.ts'
import { revoke } from './revoke.ts'
import { rotate } from './rotate.ts'
import { update } from './update.ts'
import { usage } from './usage.ts'
import { verify } from './verify.ts'

export const tokenCommands = (): Command[] => [
  create(),
  list(),
  get(),
  update(),
  rotate(),
  revoke(),
  disable(),
  enable(),
  verify(),
  ensure(),
  usage(),
]
