"""What stands on the path of every task, as a module of the cluster: nothing but `dbruntime` may lie here."""
