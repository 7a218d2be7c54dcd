/**
 * The pieces of which the schemas of what people write are made. Every key may be left empty (`key:`, `key: ""`), which is
 * passed on as null: it takes back what an included file said. In a list an empty element takes back what stood before it.
 */
import * as z from 'zod/mini'

export type Scalar = string | number | boolean

/** What a parser of a value throws: the reason, and what could be typed instead. */
export class BadValue extends Error {
  readonly hint: string | undefined
  constructor(reason: string, hint?: string) {
    super(reason)
    this.hint = hint
  }
}

/** A checked value: opaque to merging, which replaces it whole. */
export class Value<T> {
  readonly value: T
  constructor(value: T) {
    this.value = value
  }
}

/** A checked list: merging appends it, and null takes back what stood before. */
export class Items<T> {
  readonly items: readonly (T | null)[]
  constructor(items: readonly (T | null)[]) {
    this.items = items
  }
}

export type Parse<T> = (value: Scalar) => T

interface IssueSink {
  readonly issues: z.core.$ZodRawIssue[]
}

/** One value. */
export function field<T>(parse: Parse<T>) {
  return z.optional(
    z.nullable(
      z.transform((value: unknown, context: IssueSink) => {
        const parsed = readScalar(parse, value, context)
        return parsed === null ? null : new Value(parsed)
      }),
    ),
  )
}

/** A list; a single value may stand for a list of one. */
export function list<T>(parse: Parse<T>) {
  return z.optional(
    z.nullable(
      z.transform((value: unknown, context: IssueSink): Items<T> => {
        if (!Array.isArray(value)) return new Items([readScalar(parse, value, context)])
        if (value.length === 0) return new Items<T>([null])
        return new Items(value.map((item, index) => readScalar(parse, item, context, index)))
      }),
    ),
  )
}

/** A list of texts or maps; a single one may stand for a list of one. */
export function textsOrMaps<T>(parseText: Parse<T>, parseMap: (map: Readonly<Record<string, unknown>>) => T) {
  return z.optional(
    z.nullable(
      z.transform((value: unknown, context: IssueSink): Items<T> => {
        const items: readonly unknown[] = Array.isArray(value) ? value : [value]
        if (items.length === 0) return new Items<T>([null])
        return new Items(
          items.map((item, index) => {
            if (!isPlainMap(item)) return readScalar(parseText, item, context, Array.isArray(value) ? index : undefined)
            try {
              return parseMap(item)
            } catch (error) {
              if (!(error instanceof BadValue)) throw error
              report(context, error, item, Array.isArray(value) ? { path: [index] } : {})
              return null
            }
          }),
        )
      }),
    ),
  )
}

/** A map of known keys. */
export function group<S extends z.core.$ZodShape>(shape: S) {
  return z.optional(z.nullable(z.strictObject(shape)))
}

/** A map of known keys one of which, `value`, may stand alone: `autodev: 1` is `autodev: {value: 1}`. */
export function valueOrGroup<S extends z.core.$ZodShape>(shape: S) {
  const wrap = z.transform((value: unknown) => (isPlainMap(value) ? value : { value }))
  return z.optional(z.nullable(z.pipe(wrap, z.strictObject(shape))))
}

/** A map whose keys are names of the kernel's; `checkKey` says what is wrong with one. */
export function namedValues<S extends z.core.$ZodShape, T>(shape: S, checkKey: (key: string) => BadValue | undefined, parse: Parse<T>) {
  const check = z.transform((value: unknown, context: IssueSink) => {
    if (!isPlainMap(value)) return value
    for (const key of Object.keys(value)) {
      const bad = key in shape ? undefined : checkKey(key)
      if (bad !== undefined) report(context, bad, value, { path: [key], atKey: true })
    }
    return value
  })
  return z.optional(z.nullable(z.pipe(check, z.catchall(z.object(shape), list(parse)))))
}

function isPlainMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function readScalar<T>(parse: Parse<T>, value: unknown, context: IssueSink, index?: number): T | null {
  if (value === null || value === '') return null
  const where = index === undefined ? {} : { path: [index] }
  try {
    if (typeof value === 'object') throw new BadValue(Array.isArray(value) ? 'a list can not stand here' : 'a map can not stand here')
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') throw new BadValue('no plain value')
    return parse(value)
  } catch (error) {
    if (!(error instanceof BadValue)) throw error
    report(context, error, value, where)
    return null
  }
}

function report(context: IssueSink, bad: BadValue, input: unknown, where: { path?: PropertyKey[]; atKey?: boolean }): void {
  context.issues.push({
    code: 'custom',
    message: bad.message,
    input,
    params: { ...(bad.hint === undefined ? {} : { hint: bad.hint }), ...(where.atKey === true ? { atKey: true } : {}) },
    ...(where.path === undefined ? {} : { path: where.path }),
  })
}

/** A list of maps, merged item by item as LXC's numbered keys are; one map may stand alone. */
export function numberedGroups<S extends z.core.$ZodType>(item: S) {
  const wrap = z.transform((value: unknown) => (isPlainMap(value) ? [value] : value))
  return z.optional(z.nullable(z.pipe(wrap, z.array(item))))
}

/** What is left of a schema's output when all files are merged: no marks, no nulls. */
export type Merged<T> =
  T extends Value<infer V>
    ? V
    : T extends Items<infer E>
      ? readonly E[]
      : T extends readonly (infer E)[]
        ? readonly Merged<NonNullable<E>>[]
        : T extends object
          ? { readonly [K in keyof T]: Merged<Exclude<T[K], null>> }
          : T
