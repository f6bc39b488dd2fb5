// Files for `latchkey apply`, and what became of them: as a team would write one, with names of its own for each test.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createClient } from '@latchkey/sdk/client'
import type { Test } from 'tap'
import { readCatalog } from '../../src/cli/apply/catalog.ts'
import { plan } from '../../src/cli/apply/plan.ts'
import { openSecrets } from '../../src/cli/apply/secrets.ts'
import type { Step } from '../../src/cli/apply/step.ts'
import type { Wanted } from '../../src/cli/apply/wanted.ts'
import { type Cli, createCli, type Ended } from './cli.ts'
import { basic, type Latchkey } from './latchkey.ts'

// biome-ignore lint/suspicious/noExplicitAny: a test makes of it what it wants
export type File = any

/** A service with scopes and guidance, a policy, a token. @param id of the service, and in all other names */
export const fileOf = (id: string): File => ({
  services: [
    {
      id,
      name: 'Posts',
      baseUrl: `https://${id}.example.com`,
      groups: [{ id: 'content', title: 'Content' }],
      scopes: [
        { name: `${id}:read`, title: 'Read', group: 'content', risk: 'low' },
        {
          name: `${id}:write`,
          title: 'Write',
          group: 'content',
          implies: [`${id}:read`],
          maxLifetimeDays: 365,
        },
      ],
      presets: [{ id: 'read-only', title: 'Read only', scopes: [`${id}:read`] }],
    },
  ],
  trustPolicies: [
    {
      name: `${id} deploys`,
      issuer: 'https://token.actions.githubusercontent.com',
      audience: 'https://tokens.example.com',
      conditions: { repository_id: '724513876', repository_owner_id: '9919' },
      scopes: [`${id}:write`],
      expireAt: '2099-01-01T01:00:00+01:00',
    },
  ],
  tokens: [
    {
      name: 'backup',
      subject: `of_${id}`,
      scopes: [`${id}:read`],
      expiresIn: '30d',
      ipRestriction: ['203.0.113.7/24', '2001:DB8:0::/32'],
      metadata: { ticket: 'OPS-12' },
    },
  ],
})

export type Applying = {
  readonly cli: Cli
  /** Where secrets go. */
  readonly folder: string
  readonly file: string
  write(file: File): Promise<void>
  /** `latchkey apply -f` the file that was written last, with `--secrets-dir`. */
  run(...args: string[]): Promise<Ended>
  /** The same with `--yes --json`; exit 0 is expected. */
  // biome-ignore lint/suspicious/noExplicitAny: a test asserts it anyway
  apply(file: File, ...args: string[]): Promise<any>
  secret(name: string): Promise<string>
}

export async function applying(t: Test, url: string, token: string): Promise<Applying> {
  const cli = await createCli(t, { LATCHKEY_URL: url, LATCHKEY_TOKEN: token })
  const [folder, file] = [join(cli.folder, 'secrets'), join(cli.folder, 'latchkey.yaml')]
  const base = ['apply', '-f', file, '--secrets-dir', folder]
  await mkdir(folder, { mode: 0o700 })
  const write = (content: File) =>
    writeFile(file, typeof content === 'string' ? content : JSON.stringify(content))
  return {
    cli,
    folder,
    file,
    write,
    run: (...args) => cli.run([...base, ...args]),
    apply: async (content, ...args) => {
      await write(content)
      return cli.json([...base, '--yes', ...args])
    },
    secret: (name) => readFile(join(folder, name), 'utf8'),
  }
}

/** What is to be done or was done, a line each. */
export const actionsOf = ({ steps }: { steps: readonly Record<string, unknown>[] }): string[] =>
  steps.filter(({ action }) => action !== 'keep').map(({ action, kind, name }) => `${action} ${kind} ${name}`)

/** Whether both secrets that came of the file are good, and the token can do what it should. */
export async function secretsWork(latchkey: Latchkey, { secret }: Applying, id: string): Promise<object> {
  const [client, token] = [await secret(`${id}.client-secret`), await secret(`of_${id}.backup.token`)]
  const { body, status } = await latchkey.form(
    '/oauth2/introspect',
    { token, client_ip: '203.0.113.9' },
    basic(id, client),
  )
  return { status, active: body.active, scope: body.scope }
}

export type Place = {
  readonly url: string
  readonly token: string
  readonly folder: string | null
  readonly prune?: boolean
}

/** As `latchkey apply` plans them, in this process. @param folder null: there is no --secrets-dir */
export async function stepsFor(file: Wanted, { url, token, folder, prune = false }: Place): Promise<Step[]> {
  const client = createClient({ url, token })
  const secrets = folder === null ? null : await openSecrets(folder)
  const output = { show: () => {}, note: () => {} }
  return plan(file, { client, output, catalog: await readCatalog(client), secrets, prune })
}
