// The commands of `latchkey ci trust`, in the order of their help.
import type { Command } from 'commander'
import { add } from './add.ts'
import { list } from './list.ts'
import { remove } from './remove.ts'
import { show } from './show.ts'
import { test } from './test.ts'

export const trustCommands = (): Command[] => [add(), list(), show(), test(), remove()]
