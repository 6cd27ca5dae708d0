fn main(){ let rt=tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
rt.block_on(async{ let c=aws_config::load_from_env().await; let e=aws_sdk_ec2::Client::new(&c);
let r=e.describe_addresses().send().await; println!("{r:?}");
let r=e.associate_address().send().await; println!("{r:?}");
let r=e.disassociate_address().send().await; println!("{r:?}");
let r=e.describe_instances().send().await; println!("{r:?}"); }); }
