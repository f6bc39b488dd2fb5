// The commands of `latchkey scope`, in the order of their help.
import type { Command } from 'commander'
import { explain } from './explain.ts'
import { forCommand } from './for.ts'
import { list } from './list.ts'

export const scopeCommands = (): Command[] => [list(), forCommand(), explain()]
