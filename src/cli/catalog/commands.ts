// The commands of `latchkey catalog`, in the order of their help.
import type { Command } from 'commander'
import { diff } from './diff.ts'
import { exportCommand } from './export.ts'
import { jobs } from './jobs.ts'
import { publish } from './publish.ts'
import { search } from './search.ts'
import { show } from './show.ts'

export const catalogCommands = (): Command[] => [search(), show(), jobs(), publish(), diff(), exportCommand()]
