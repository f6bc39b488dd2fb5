// Stands in front of a Latchkey as a proxy does, and has its bad moments when a test wants them.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import type { Test } from 'tap'

/** @returns whether it has answered; else Latchkey does */
export type Moment = (response: ServerResponse, pass: () => Promise<Response>) => unknown

export type Front = {
  readonly url: string
  /** What comes next, one for each request; when there is none, all is passed on. */
  readonly moments: Moment[]
  /** The same, for requests that change something; null: it is passed on. */
  readonly writes: (Moment | null)[]
  /** Forms that were sent, by path. */
  readonly seen: { readonly path: string; readonly form: URLSearchParams }[]
}

export const answers =
  (status: number, headers: Record<string, string> = {}, body = '{}'): Moment =>
  (response) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)

/** What was asked for is done, and nobody is told. */
export const loses: Moment = async (response, pass) => {
  await pass()
  response.destroy()
}

export async function putInFront(t: Test, to: string): Promise<Front> {
  const moments: Moment[] = []
  const writes: Front['writes'] = []
  const seen: Front['seen'] = []
  const server = createServer(async (request, response) => {
    const body = await buffer(request)
    seen.push({ path: request.url!, form: new URLSearchParams(body.toString()) })
    const pass = () => passed(to, request, body)
    const moment = moments.shift() ?? (request.method === 'GET' ? null : writes.shift())
    if (moment) return void moment(response, pass)
    const answer = await pass()
    response.writeHead(answer.status, Object.fromEntries(answer.headers))
    response.end(Buffer.from(await answer.arrayBuffer()))
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, moments, writes, seen }
}

const onward = ['authorization', 'content-type', 'idempotency-key']

function passed(to: string, { method, url, headers }: IncomingMessage, body: Buffer): Promise<Response> {
  const kept = onward.flatMap((name) => (headers[name] ? [[name, String(headers[name])] as const] : []))
  return fetch(to + url, {
    method: method!,
    headers: Object.fromEntries(kept),
    ...(body.length > 0 && { body }),
    redirect: 'manual',
  })
}
