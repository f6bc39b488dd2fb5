// Is there a Latchkey at a URL, which one, and does it serve? Asked over the public API, as anybody.
import { type Client, LatchkeyError } from '@latchkey/sdk/client'
import { readFrame } from '../catalog/view.ts'

export type Seen =
  | { readonly kind: 'latchkey'; readonly version: string }
  | { readonly kind: 'not ready'; readonly reason: string }
  | { readonly kind: 'something else' }
  | { readonly kind: 'nobody'; readonly reason: string }

export async function lookAt(client: Client): Promise<Seen> {
  try {
    await client.call('GET', '/readyz')
    const { product, services } = await readFrame(client)
    const version = services.find((one) => one.id === 'latchkey')?.version
    if (product.name === 'Latchkey' && version) return { kind: 'latchkey', version }
  } catch (error) {
    // Another program's answer may be of any form.
    if (!(error instanceof LatchkeyError)) return { kind: 'something else' }
    const { status, body, code, message } = error
    const reason = (body as { status?: unknown } | null)?.status
    if (status === 503 && typeof reason === 'string') return { kind: 'not ready', reason }
    if (code === 'unreachable' || code === 'timeout') return { kind: 'nobody', reason: message }
  }
  return { kind: 'something else' }
}
