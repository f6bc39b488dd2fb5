// The commands of `latchkey admin subject`, in the order of their help.
import type { Command } from 'commander'
import { cap } from './cap.ts'
import { disable } from './disable.ts'
import { enable } from './enable.ts'
import { show } from './show.ts'

export const subjectCommands = (): Command[] => [show(), disable(), enable(), cap()]
