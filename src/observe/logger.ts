// The log: JSON lines on stdout. What is worth a line decide the rooms; secrets are kept out here, once for all.
import pino, { type DestinationStream, type Logger } from 'pino'

export type { Logger }

const hidden = [
  'token',
  'secret',
  'clientSecret',
  'client_secret',
  'authorization',
  'cookie',
  'password',
  'body',
]
const paths = [
  ...hidden,
  ...hidden.map((name) => `*.${name}`),
  'req.headers',
  'res.headers',
  'request.headers',
  'err.request',
]

export function createLogger(level: string, destination?: DestinationStream): Logger {
  const options = {
    level,
    base: { service: 'latchkey' },
    redact: { paths, censor: '[hidden]' },
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { req: requestLine, err: errorLine },
  }
  return destination ? pino(options, destination) : pino(options)
}

/** A URL's query may hold what a careless client put there, so only the path is logged. */
function requestLine(request: { id?: string; method?: string; url?: string }) {
  return { id: request.id, method: request.method, path: request.url?.split('?', 1)[0] }
}

/** Message and stack of our own; never the SQL's parameters or the request that a library hangs on an error. */
function errorLine(error: Error & { code?: string }) {
  return { type: error.name, message: error.message, code: error.code, stack: error.stack }
}
