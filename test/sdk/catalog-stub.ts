// Takes the documents that a service publishes, in place of Latchkey, and answers as it is told.
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

export type Catalog = {
  readonly url: string
  readonly received: { method: string; path: string; headers: IncomingHttpHeaders; body: string }[]
  /** Status codes of the next answers; 200 when there is none. */
  readonly answers: number[]
}

export async function startCatalog(t: Test): Promise<Catalog> {
  const received: Catalog['received'] = []
  const answers: number[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += chunk
    received.push({ method: request.method ?? '', path: request.url ?? '', headers: request.headers, body })
    const status = answers.shift() ?? 200
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(
      JSON.stringify(status === 200 ? { changed: true, digest: 'sha256:0' } : { detail: 'the stub says no' }),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, received, answers }
}
