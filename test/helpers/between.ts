// Stands between a client and a PostgreSQL server, and reads or changes what they say to each other, message by message.
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

/** @param join is given both sides of each connection; it passes on what it likes @returns the URL that leads through */
export async function between(
  t: Test,
  url: string,
  join: (client: Socket, server: Socket) => void,
): Promise<string> {
  const { hostname, port } = new URL(url)
  const sockets: Socket[] = []
  const proxy = createServer((client) => {
    const server = connect(Number(port), hostname)
    sockets.push(client, server)
    for (const one of [client, server]) one.on('error', () => {})
    join(client, server)
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  t.teardown(() => {
    proxy.close()
    for (const one of sockets) one.destroy()
  })
  const through = new URL(url)
  through.hostname = '127.0.0.1'
  through.port = String((proxy.address() as AddressInfo).port)
  return through.href
}

/** Calls for each message (but for the first of a client, which has no type), wherever TCP splits them. */
export function byMessage(each: (type: string, message: Buffer) => void): (bytes: Buffer) => void {
  let rest = Buffer.alloc(0)
  return (bytes) => {
    rest = Buffer.concat([rest, bytes])
    while (rest.length >= 5 && rest.length > rest.readUInt32BE(1)) {
      const message = rest.subarray(0, rest.readUInt32BE(1) + 1)
      rest = rest.subarray(message.length)
      each(message.toString('latin1', 0, 1), message)
    }
  }
}
