// What the command line asks with sends, and says, what the platform's fetch would; what fails, fails as it does there.
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import type { Fetch } from '@latchkey/sdk/client'
import t from 'tap'
import { lightFetch } from '../../src/cli/light-fetch.ts'

const answers: Record<string, (response: ServerResponse) => unknown> = {
  '/': (response) => response.end(),
  '/text': (response) => response.setHeader('content-type', 'text/plain').end('schön 🗝'),
  '/marked': (response) => response.end('\ufefftext'),
  '/many': (response) => response.writeHead(404, { link: ['<a>; rel=next', '<b>'] }).end('{}'),
  '/moved': (response) => response.writeHead(302, { location: '/text' }).end(),
  '/none': (response) => response.writeHead(204).end(),
  '/not-modified': (response) => response.writeHead(304, { etag: '"1"' }).end(),
  '/never': () => {},
  '/stalls': (response) => response.writeHead(200).write('the first '),
  '/cut': (response) => {
    response.writeHead(200, { 'content-length': '100' }).write('the first ')
    setImmediate(() => response.destroy())
  },
}
let received: unknown[] = []
const server = createServer(async (request, response) => {
  const { method, url, headers } = request
  const [type, length] = [headers['content-type'], headers['content-length']]
  received.push({ method, url, type, length, mine: headers['x-mine'], body: await text(request) })
  answers[url!.split('?')[0]!]!(response)
})
t.before(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)))
t.teardown(() => server.close().closeAllConnections())
const origin = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`

type Asked = Partial<Parameters<Fetch>[1]>

async function exchange(fetch: Fetch, url: string, asked: Asked = {}) {
  received = []
  const signal = AbortSignal.timeout(10_000)
  const answer = await fetch(url, { method: 'GET', headers: {}, signal, redirect: 'manual', ...asked })
  const headers = new Map(
    [...answer.headers].filter(([name]) => !/^(date|connection|keep-alive)$/.test(name)),
  )
  const got = [answer.headers.get('Link'), answer.headers.get('x-none')]
  return { status: answer.status, headers, got, text: await answer.text(), received }
}

t.test('an exchange is the one that fetch would have had', async (t) => {
  const cases: [string, Asked?][] = [
    ...Object.keys(answers)
      .slice(0, 7)
      .map((path): [string] => [path]),
    ['/text?a=%20b&c=d'],
    ['/', { method: 'DELETE' }],
    ['/', { method: 'POST' }],
    ['/', { method: 'POST', body: 'schön', headers: { 'x-mine': 'a' } }],
    ['/', { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } }],
    ['/', { method: 'PUT', body: new URLSearchParams({ a: 'b c', d: 'ö' }) }],
    ['/', { method: 'PUT', body: new TextEncoder().encode('schön') }],
    ['/', { method: 'PATCH', body: '' }],
  ]
  for (const [path, asked] of cases) {
    const name = `${asked?.method ?? 'GET'} ${path}`
    t.strictSame(
      await exchange(lightFetch, origin() + path, asked),
      await exchange(fetch, origin() + path, asked),
      name,
    )
  }
})

t.test('what takes too long ends with the reason of the signal, whatever has come by then', async (t) => {
  for (const path of ['/never', '/stalls'])
    for (const one of [lightFetch, fetch])
      await t.rejects(exchange(one, origin() + path, { signal: AbortSignal.timeout(50) }), {
        name: 'TimeoutError',
      })
  const over = AbortSignal.abort(new Error('before it began'))
  for (const one of [lightFetch, fetch])
    await t.rejects(exchange(one, origin(), { signal: over }), { message: 'before it began' })
})

t.test('an answer that breaks off is none, and neither is silence', async (t) => {
  await t.rejects(exchange(lightFetch, `${origin()}/cut`), { code: 'ECONNRESET' })
  await t.rejects(exchange(lightFetch, 'http://127.0.0.1:1/'), { code: 'ECONNREFUSED' })
})
