// As much of fetch as a client asks for, on Node's own HTTP client. The platform's compiles a parser in every new process,
// which took half of a command's time, and a script waits for each command. It follows no redirect, and has no cache.
import type { Agent as HttpAgent, IncomingMessage, RequestOptions } from 'node:http'
import { text } from 'node:stream/consumers'
import type { Fetch } from '@latchkey/sdk/client'

/** As fetch has it: what is idle for longer may have been forgotten by a firewall on the way, which nobody is told. */
const idleMs = 4_000
const agents: { http?: HttpAgent; https?: HttpAgent } = {}

/** Rejects with the error of Node's, which has a `code`, or with the signal's reason. */
export const lightFetch: Fetch = async (url, { method, headers, body, signal }) => {
  const secure = url.startsWith('https:')
  const { request, Agent } = await (secure ? import('node:https') : import('node:http'))
  const scheme = secure ? 'https' : 'http'
  agents[scheme] ??= new Agent({ keepAlive: true, timeout: idleMs })
  const options: RequestOptions = {
    method,
    headers: { ...typeOf(body), ...headers },
    signal,
    agent: agents[scheme],
  }
  try {
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const asked = request(url, options, resolve).on('error', reject)
      asked.end(body instanceof URLSearchParams ? body.toString() : body)
    })
    const read = await text(answer)
    return { status: answer.statusCode!, headers: headersOf(answer), text: async () => read }
  } catch (error) {
    throw signal.aborted ? signal.reason : error
  }
}

/** As fetch has it, unless the caller says otherwise. */
function typeOf(body: string | Uint8Array | URLSearchParams | undefined): Record<string, string> {
  if (body instanceof URLSearchParams)
    return { 'content-type': 'application/x-www-form-urlencoded;charset=UTF-8' }
  return typeof body === 'string' ? { 'content-type': 'text/plain;charset=UTF-8' } : {}
}

function headersOf({ headers }: IncomingMessage) {
  const all = Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)])
  return {
    get: (name: string) => headers[name.toLowerCase()]?.toString() ?? null,
    [Symbol.iterator]: () => all.values(),
  }
}
