/** Files that a test reads as they are: workerd has no file system. */
declare module "*.md?raw" {
  const text: string;
  export default text;
}
declare module "*.yaml?raw" {
  const text: string;
  export default text;
}
