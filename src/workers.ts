// LATCHKEY_WORKERS processes on one port, each a replica of its own. The primary serves nothing: it starts them,
// starts anew what dies, and passes a stop on.
import cluster, { type Worker } from 'node:cluster'
import { type Config, managementPorts } from './config.ts'
import { freePort } from './free-port.ts'
import { listening } from './listening.ts'
import type { Logger } from './observe/logger.ts'

const pauseMs = 1_000

export const isWorker = (): boolean => cluster.isWorker

/** Resolves with the exit code when all have ended: 0 after a stop, 1 when one could not even start the first time. */
export async function superviseWorkers(config: Config, logger: Logger): Promise<number> {
  const chosen = () => freePort(config.host, managementPorts(config))
  const port = config.port === 0 ? await listening('LATCHKEY_PORT', chosen) : config.port
  const workers = new Map<number, Worker>()
  const served = new Set<number>()
  let stopping = false
  let exitCode = 0
  return new Promise((resolve) => {
    const stop = () => {
      stopping = true
      for (const worker of workers.values()) worker.process.kill('SIGTERM')
    }
    const run = (number: number) => {
      const worker = cluster.fork(environmentOf(number, port, config))
      workers.set(number, worker)
      // Its management port says nothing of this one.
      worker.on('listening', (address) => address.port === port && served.add(number))
      worker.once('exit', (code, signal) => {
        workers.delete(number)
        if (!stopping) logger.error({ worker: number, code, signal }, 'a worker ended')
        // It has told why, and it is in the settings. Of one that has served before it may pass: the database is away.
        if (!served.has(number) && !stopping) {
          logger.error({ worker: number }, 'a worker could not start, so all are stopped')
          exitCode = 1
          stop()
        }
        if (stopping && workers.size === 0) return resolve(exitCode)
        if (!stopping) setTimeout(() => !stopping && run(number), pauseMs)
      })
    }
    for (let number = 1; number <= config.workers; number++) run(number)
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, stop)
  })
}

/** The port they share; a management port is each one's own, counted up from the configured one. */
function environmentOf(number: number, port: number, config: Config): Record<string, string> {
  const own = managementPorts(config)[number - 1]
  return {
    // What is said here is said in the place of a file, too: both would be a setting that is set twice.
    LATCHKEY_PORT_FILE: '',
    LATCHKEY_PORT: String(port),
    LATCHKEY_MANAGEMENT_PORT_FILE: '',
    LATCHKEY_MANAGEMENT_PORT: own === undefined ? '' : String(own),
    // Each is one: its management port is not followed by others of its own.
    LATCHKEY_WORKERS_FILE: '',
    LATCHKEY_WORKERS: '1',
  }
}
