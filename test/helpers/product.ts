// The example product as processes of its own, brought up as its README says: registered by an admin, then started.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseEnv, promisify } from 'node:util'
import { freePort } from './process.ts'
import './plain-children.ts'

export const productFolder = fileURLToPath(new URL('../../examples/product/', import.meta.url))
const typescript = ['--import', import.meta.resolve('tsx')]
const readyWithinMs = 60_000

/** What start.ts wants in its environment. */
export type ProductSettings = Readonly<Record<string, string>>

export type Product = {
  readonly posts: string
  readonly billing: string
  /** All it wrote. */
  readonly output: () => string
  stop(): Promise<void>
}

/** At two free ports. */
export async function registerProduct(latchkey: { url: string; admin: string }): Promise<ProductSettings> {
  const ports = [await freePort(), await freePort()]
  const env = {
    PATH: process.env['PATH'],
    LATCHKEY_URL: latchkey.url,
    LATCHKEY_ADMIN_TOKEN: latchkey.admin,
    POSTS_URL: `http://localhost:${ports[0]}`,
    BILLING_URL: `http://localhost:${ports[1]}`,
  }
  const args = [...typescript, `${productFolder}register.ts`]
  const { stdout } = await promisify(execFile)(process.execPath, args, { env })
  return parseEnv(stdout) as ProductSettings
}

/** @param folder of start.ts; must be within this repository, so that it finds the library @throws Error with what it wrote */
export async function startProduct(settings: ProductSettings, folder = productFolder): Promise<Product> {
  const child = spawn(process.execPath, [...typescript, `${folder}start.ts`], {
    env: { PATH: process.env['PATH'], ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exit = once(child, 'exit')
  const written: string[] = []
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => written.push(text))
  const output = () => written.join('')
  const late = setTimeout(() => child.kill('SIGKILL'), readyWithinMs)
  const isUp = new Promise<void>((resolve) => {
    child.stdout.on('data', () => output().includes('The product is up.') && resolve())
  })
  await Promise.race([isUp, exit])
  clearTimeout(late)
  if (!output().includes('The product is up.')) throw new Error(`The product did not start:\n${output()}`)
  return {
    posts: settings['POSTS_URL']!,
    billing: settings['BILLING_URL']!,
    output,
    async stop() {
      child.kill('SIGTERM')
      await exit
    },
  }
}
