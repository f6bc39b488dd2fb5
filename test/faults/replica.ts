// One replica as a process of its own, for fault tests: what main.ts does, plus a way to take guards away (as arguments)
// and to stall the event loop. cluster.ts starts it; it ends with the process that did.
import { readConfig } from '../../src/config.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { start } from '../../src/start.ts'
import type { Sabotage } from '../../src/verify/replicas.ts'

export type Order = { stallMs: number } | 'admin token'
export type Report = { url: string } | { admin: string }

process.once('disconnect', () => process.exit(1))

try {
  const sabotage = new Set(process.argv.slice(2) as Sabotage[])
  const running = await start(readConfig(), { logger: createLogger('warn', process.stderr), sabotage })
  process.on('message', async (order: Order) => {
    if (order === 'admin token') report({ admin: await running.makeAdminToken() })
    else stall(order.stallMs)
  })
  process.once('SIGTERM', async () => {
    await running.stop()
    process.exit(0)
  })
  process.stdout.write(`${JSON.stringify({ url: running.url })}\n`)
  report({ url: running.url })
} catch (error) {
  process.stderr.write(`Latchkey cannot start: ${(error as Error).message}\n`)
  process.exit(1)
}

function report(what: Report): void {
  process.send?.(what)
}

/** As a long garbage collection would, or somebody's regular expression. */
function stall(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}
