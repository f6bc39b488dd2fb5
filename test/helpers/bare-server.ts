// The server that our rooms are put into, without any of them.
import { Writable } from 'node:stream'
import type { Lane } from '../../src/http/lane.ts'
import { type App, createServer } from '../../src/http/server.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { createMetrics, type Metrics } from '../../src/observe/metrics.ts'

export const bareServer = (
  lanes: readonly Lane[] = [],
  metrics: Metrics = createMetrics('test'),
  log: string[] = [],
): App =>
  createServer({
    issuer: 'http://localhost',
    logger: createLogger(
      'info',
      new Writable({ write: (chunk, _encoding, done) => done(void log.push(`${chunk}`)) }),
    ),
    metrics,
    now: Date.now,
    isStopping: () => false,
    lanes,
    urlReaders: [],
  })
