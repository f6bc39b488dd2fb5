// The process: configuration → running Latchkey → a graceful end at SIGTERM or SIGINT.
import { ConfigError, readConfig, unknownSettings } from './config.ts'
import { createLogger } from './observe/logger.ts'
import { type Running, start } from './start.ts'
import { isWorker, superviseWorkers } from './workers.ts'

// Who reads the output may go away; that is no reason to fail, nor to try for ever to tell them.
for (const output of [process.stdout, process.stderr]) output.on('error', () => {})

await serve()

async function serve(): Promise<void> {
  try {
    const config = readConfig()
    const logger = createLogger(config.logLevel)
    if (!isWorker()) for (const unknown of unknownSettings()) logger.warn(unknown)
    if (config.workers > 1) return process.exit(await superviseWorkers(config, logger))
    const running = await start(config, { logger })
    const { url, issuer, store } = running
    logger.info({ url, issuer, engine: store.engine, failover: store.failover }, 'listening')
    if (store.engine === 'embedded') greet(running, config.dataDir)
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void end(running))
  } catch (error) {
    // What stops a start is for the operator to read, not for a log collector to parse.
    process.stderr.write(
      `${error instanceof ConfigError ? error.message : `Latchkey cannot start: ${(error as Error).message}`}\n`,
    )
    process.exit(1)
  }
}

async function end(running: Running): Promise<void> {
  // A second signal means: now.
  process.once('SIGINT', () => process.exit(130))
  await running.stop()
  process.exit(0)
}

/** For people who have just started it on their machine; on stderr, apart from the log. */
function greet({ url }: Running, dataDir: string): void {
  const file = `${dataDir}/admin-token`
  const lines = [
    '',
    `Latchkey is at ${url}, with its store in ${dataDir} (survives kill -9, not a power cut; production: DATABASE_URL).`,
    `The admin token, made at the first start, is in ${file}`,
    '',
    'Provision a token, introspect it, open the catalog:',
    `  T=$(curl -s ${url}/api/v1/tokens -H "Authorization: Bearer $(cat ${file})" -H 'content-type: application/json' -d '{"name":"first","subject":"user_1"}' | sed 's/.*"token":"\\([^"]*\\)".*/\\1/')`,
    `  curl -s ${url}/oauth2/introspect -H "Authorization: Bearer $(cat ${file})" -d token="$T"`,
    `  curl -s ${url}/api/programmatic/catalog`,
    '',
  ]
  process.stderr.write(`${lines.join('\n')}\n`)
}
