// HTTP as bytes over a socket: for what no HTTP client would send, and for answers compared to the byte.
import { connect } from 'node:net'

export type RawAnswer = {
  readonly status: number
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  readonly head: string
  readonly body: string
}

/** Sends the bytes, which should ask for the connection to be closed, and reads until it is. */
export function sendRaw(url: string, bytes: string | Buffer): Promise<RawAnswer> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const socket = connect(Number(port), hostname, () => socket.write(bytes))
    socket.setTimeout(10_000, () => socket.destroy(new Error('No answer, or the connection was not closed')))
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('error', reject)
    socket.on('end', () => socket.end())
    socket.on('close', () => resolve(parse(Buffer.concat(chunks).toString())))
  })
}

/** A POST with its Content-Length. @param headers lines, without Host, Content-Length and Connection */
export function rawPost(path: string, headers: readonly string[], body: string, version = '1.1'): string {
  const lines = [
    'Host: latchkey.test',
    ...headers,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ]
  return `POST ${path} HTTP/${version}\r\n${lines.join('\r\n')}\r\n\r\n${body}`
}

function parse(text: string): RawAnswer {
  const end = text.indexOf('\r\n\r\n')
  const head = text.slice(0, end)
  const [statusLine = '', ...lines] = head.split('\r\n')
  const headers = new Map(
    lines.map((line): [string, string] => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    }),
  )
  return { status: Number(statusLine.split(' ')[1]), headers, head, body: text.slice(end + 4) }
}
