// All fault scenarios, by what is harmed and in the order in which they are run.
import {
  crowdedServer,
  deafQueries,
  frozenServer,
  killedServer,
  silentServer,
  stoppedServer,
} from './database.ts'
import { asyncFailover, refusedPooler, refusedStandby, syncFailover } from './failover.ts'
import type { Scenario } from './harness.ts'
import { deafness, lateEcho, lostChannel, partitions } from './listening.ts'
import { coldHerd, crashLoop, flood, ghosts, graceful, jumpingClock, killedReplicas } from './processes.ts'
import { frozenReplica, lapsedRead, overtakenRead } from './reading.ts'

/** What a replica hears and reads. */
const hearing: readonly Scenario[] = [
  deafness,
  lateEcho,
  lostChannel,
  partitions,
  silentServer,
  overtakenRead,
  frozenReplica,
  lapsedRead,
]

/** PostgreSQL itself. */
const servers: readonly Scenario[] = [killedServer, stoppedServer, frozenServer, deafQueries, crowdedServer]

/** A second server between or beside. */
const failovers: readonly Scenario[] = [refusedStandby, refusedPooler, syncFailover, asyncFailover]

/** The replicas themselves. */
const processes: readonly Scenario[] = [
  killedReplicas,
  crashLoop,
  ghosts,
  coldHerd,
  flood,
  graceful,
  jumpingClock,
]

export const groups = { hearing, servers, failovers, processes }
